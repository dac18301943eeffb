/**
 * Pure functions beside the event loop: in one worker thread, one call after the other, each within limits. Our own: piscina and its like
 * are pools for throughput, and none of them limits the CPU time of a call.
 */
import { parentPort, Worker } from 'node:worker_threads';

export interface ThreadLimits {
  /** CPU time of a call, ms. */
  cpu: number;
  /** Time of a call, ms; much more, as on a busy machine nobody may be able to say how much CPU time it took. */
  wall: number;
  /** Of its heap. */
  megabytes: number;
}

/** The call took more than it may. What it worked on is at fault, or too large. */
export class LimitExceeded extends Error {
  constructor({ cpu, megabytes }: ThreadLimits) {
    super(`it takes more than ${cpu / 1000} s or ${megabytes} MB`);
    this.name = 'LimitExceeded';
  }
}

/** Names of functions, their arguments and results: whatever structured clone takes. */
export type Functions = Record<string, (...args: never[]) => unknown>;

interface Call {
  name: string;
  args: unknown[];
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}
type Answer = { result: unknown } | { error: string };

/** Milliseconds between looks at what a call takes. */
const LOOK = 250;
/** Milliseconds that a thread may take to tell. */
const PATIENCE = 500;

export class Thread<F extends Functions> {
  readonly #file: URL;
  readonly #limits: ThreadLimits;
  readonly #waiting: Call[] = [];
  #worker: Worker | undefined;
  #call: Call | undefined;

  /** @param file module that calls `serve`. The thread starts with the first call. */
  constructor(file: URL, limits: ThreadLimits) {
    this.#file = file;
    this.#limits = limits;
  }

  /** @throws LimitExceeded, or what the function throws: an Error with its words */
  call<Name extends keyof F & string>(name: Name, ...args: Parameters<F[Name]>): Promise<ReturnType<F[Name]>> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.push({ name, args, resolve, reject });
    this.#next();
    return promise as Promise<ReturnType<F[Name]>>;
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #next(): void {
    if (this.#call !== undefined) return;
    const call = this.#waiting.shift();
    if (call === undefined) return;
    this.#call = call;
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage({ name: call.name, args: call.args });
    void this.#watch(call, this.#worker);
  }

  #start(): Worker {
    const worker = new Worker(this.#file, { resourceLimits: { maxOldGenerationSizeMb: this.#limits.megabytes } });
    worker.on('message', (answer: Answer) => {
      if ('error' in answer) this.#end((call) => call.reject(new Error(answer.error)));
      else this.#end((call) => call.resolve(answer.result));
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (worker !== this.#worker) return;
      this.#worker = undefined;
      const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      this.#end((call) => call.reject(isMemory ? new LimitExceeded(this.#limits) : error));
    });
    return worker;
  }

  #end(settle: (call: Call) => void): void {
    const call = this.#call;
    this.#call = undefined;
    // Nothing that waits keeps a process from ending.
    this.#worker?.unref();
    if (call !== undefined) settle(call);
    this.#next();
  }

  async #watch(call: Call, worker: Worker): Promise<void> {
    const begin = performance.now();
    let before = await cpuOf(worker);
    while (this.#call === call) {
      await pause(LOOK);
      const wall = performance.now() - begin;
      if (wall < this.#limits.cpu) continue;
      const now = await cpuOf(worker);
      before ??= now;
      if (this.#call !== call) return;
      const cpu = (now ?? 0) - (before ?? 0);
      if (cpu <= this.#limits.cpu && wall <= this.#limits.wall) continue;
      // What does not stop is left behind: a thread in the middle of a native call ends after it.
      this.#worker = undefined;
      void worker.terminate();
      this.#end(({ reject }) => reject(new LimitExceeded(this.#limits)));
    }
  }
}

/** CPU time of a thread in ms; undefined: it does not tell. */
async function cpuOf(worker: Worker): Promise<number | undefined> {
  const told = worker.cpuUsage().then(
    ({ user, system }) => (user + system) / 1000,
    () => undefined,
  );
  return Promise.race([told, pause(PATIENCE)]);
}

function pause(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), milliseconds).unref());
}

/** Answers calls, in the thread's own module. */
export function serve(functions: Functions): void {
  parentPort?.on('message', ({ name, args }: { name: string; args: never[] }) => {
    let answer: Answer;
    try {
      answer = { result: functions[name]?.(...args) };
    } catch (error) {
      answer = { error: error instanceof Error ? error.message : String(error) };
    }
    parentPort?.postMessage(answer);
  });
}
