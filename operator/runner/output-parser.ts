import { date, decodeName, parseResult, splitAtSpace, type JobResult } from './words.ts';
import type { OutputEvent } from './types.ts';

const RECORD_SEPARATOR = 0x1e;
const LINE_FEED = 0x0a;
/** Longer than any mark; what claims to be one and is longer is output. */
const MAX_MARK = 16 * 1024;

/**
 * Splits a job's raw output into what its commands printed and the runner's marks `\x1e<run ID> <key> …\n`, wherever the
 * chunks are cut. Offsets count raw bytes from `offset`, so that a follow can go on after any event.
 */
export class OutputParser {
  readonly #prefix: Buffer;
  readonly #on: (event: OutputEvent) => void;
  #offset: number;
  #held: Buffer = Buffer.alloc(0);
  /** Set once the end mark was seen; nothing after it is looked at. */
  result: JobResult | undefined;

  constructor(runID: string, offset: number, on: (event: OutputEvent) => void) {
    this.#prefix = Buffer.from(`\x1e${runID} `);
    this.#offset = offset;
    this.#on = on;
  }

  /** Raw bytes that were passed on, from the beginning of the output. */
  get offset(): number {
    return this.#offset;
  }

  write(chunk: Buffer): void {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    while (rest.length > 0) {
      const used = this.#consume(rest);
      if (used === 0) break;
      rest = rest.subarray(used);
    }
    // A copy, so that the chunk that it comes from is not held.
    this.#held = Buffer.from(rest);
  }

  /** What looked like the beginning of a mark was none. */
  end(): void {
    if (this.result === undefined) this.#output(this.#held);
    this.#held = Buffer.alloc(0);
  }

  /** Passes on output up to the next mark, or a mark; returns the bytes used, 0 if more are needed to tell. */
  #consume(bytes: Buffer): number {
    if (this.result !== undefined) return bytes.length;
    const start = this.#markStart(bytes);
    if (start > 0) return this.#output(bytes.subarray(0, start));
    const end = bytes.indexOf(LINE_FEED);
    if (end === -1 && bytes.length < MAX_MARK) return 0;
    if (end === -1) return this.#output(bytes.subarray(0, 1));
    return this.#mark(bytes.subarray(0, end + 1));
  }

  /** Where a mark begins or may begin; the length if nowhere. */
  #markStart(bytes: Buffer): number {
    for (let at = bytes.indexOf(RECORD_SEPARATOR); at !== -1; at = bytes.indexOf(RECORD_SEPARATOR, at + 1)) {
      const candidate = bytes.subarray(at, at + this.#prefix.length);
      if (candidate.equals(this.#prefix.subarray(0, candidate.length))) return at;
    }
    return bytes.length;
  }

  #output(chunk: Buffer): number {
    this.#offset += chunk.length;
    if (chunk.length > 0) this.#on({ kind: 'output', chunk, offset: this.#offset });
    return chunk.length;
  }

  #mark(line: Buffer): number {
    const [key, rest] = splitAtSpace(line.subarray(this.#prefix.length, -1).toString('latin1'));
    if (key === 'end') {
      this.result = parseResult(rest);
    } else if (key === 'command') {
      const [at, name] = splitAtSpace(rest);
      this.#offset += line.length;
      this.#on({ kind: 'command', name: decodeName(name), at: date(at), offset: this.#offset });
    } else {
      return this.#output(line);
    }
    return line.length;
  }
}
