import { Tail } from '../ssh/output.ts';
import { OutputParser } from './output-parser.ts';
import { TAIL, parseAnswer } from './protocol.ts';
import type { OutputEvent } from './types.ts';
import type { JobResult, Line } from './words.ts';

/** What a follow's exec brought. */
export interface Stream {
  /** The answer's lines before the stream. */
  head: Line[];
  /** Whether the job lived when it began. */
  live: boolean;
  /** Set if the end mark came. */
  result: JobResult | undefined;
  /** Last output that came. */
  tail: Tail;
  /** Where the next follow goes on. */
  offset: number;
}

/** Standard output of a follow: an answer whose last line `stream` is followed by a job's raw output. */
export class AnswerStream {
  readonly #nonce: string;
  readonly #output: OutputParser;
  readonly #onHead: (head: Line[]) => void;
  readonly #onEnd: () => void;
  readonly #tail = new Tail(TAIL);
  #start: Buffer = Buffer.alloc(0);
  #head: Line[] | undefined;

  /**
   * @param onHead called once, when the answer before the stream has come.
   * @param onEnd called once, when the end mark has come.
   */
  constructor(
    nonce: string,
    runID: string,
    offset: number,
    on: (event: OutputEvent) => void,
    onHead: (head: Line[]) => void,
    onEnd: () => void,
  ) {
    this.#nonce = nonce;
    this.#onHead = onHead;
    this.#onEnd = onEnd;
    this.#output = new OutputParser(runID, offset, (event) => {
      if (event.kind === 'output') this.#tail.push(event.chunk);
      on(event);
    });
  }

  write(chunk: Buffer): void {
    if (this.#head !== undefined) {
      this.#pass(chunk);
      return;
    }
    this.#start = Buffer.concat([this.#start, chunk]);
    const stream = this.#start.indexOf(`\n${this.#nonce} stream `);
    const end = stream === -1 ? -1 : this.#start.indexOf('\n', stream + 1);
    if (end === -1) return;
    const text = this.#start.subarray(0, end).toString('utf8');
    this.#head = parseAnswer(`${text}\n${this.#nonce} end\n`, this.#nonce);
    this.#onHead(this.#head ?? []);
    const rest = this.#start.subarray(end + 1);
    this.#start = Buffer.alloc(0);
    this.#pass(rest);
  }

  #pass(chunk: Buffer): void {
    const before = this.#output.result;
    this.#output.write(chunk);
    if (before === undefined && this.#output.result !== undefined) this.#onEnd();
  }

  /** The exec is over; undefined if it brought no answer. One without a stream (an error) is all head. */
  end(): Stream | undefined {
    const head = this.#head ?? parseAnswer(this.#start.toString('utf8'), this.#nonce);
    if (head === undefined) return undefined;
    const live = head.some(([key, value]) => key === 'stream' && value === 'live');
    // While the job lives, what looks like the beginning of a mark may be one: it comes again with the next follow.
    if (!live) this.#output.end();
    return { head, live, result: this.#output.result, tail: this.#tail, offset: this.#output.offset };
  }
}
