/** The operator under test, which is started again whenever it ends, as a Deployment does it. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { StartedEnvironment } from '../env/environment.ts';
import type { Operator } from '../env/operator.ts';

/** What wrote these lines would have had no answer to: a rejection or exception that nobody caught, or a failure without a name. */
const BUG = /this is a bug/;

export interface ManagerOptions {
  environment: StartedEnvironment;
  name: string;
  /** Of the proxy before the API server. */
  server: string;
  program: string;
  args?: string[];
  env?: Record<string, string>;
}

export class Manager {
  readonly #options: ManagerOptions;
  readonly #clock: string;
  #operator: Operator | undefined;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();
  /** How it ended, each time. */
  readonly ends: (number | NodeJS.Signals)[] = [];
  /** Lines of its log that tell of a fault of its own. */
  readonly bugs: string[] = [];

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.#clock = join(options.environment.state.run.folder, `${options.name}.clock`);
  }

  /** Resolves when it is ready for the first time. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.setClock('+0');
    await this.#relaunch();
    this.#running = this.#keep();
  }

  async #launch(): Promise<void> {
    const { environment, name, server, program, args = [], env = {} } = this.#options;
    const clock = {
      LD_PRELOAD: '/usr/$LIB/faketime/libfaketime.so.1',
      FAKETIME_TIMESTAMP_FILE: this.#clock,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    this.#operator = await environment.startOperator({ name, server, program, installed: true, args, env: { ...clock, ...env } });
  }

  async #keep(): Promise<void> {
    while (!this.#stopped) {
      const operator = this.#operator;
      this.ends.push((await operator?.process.ended) ?? 0);
      if (operator !== undefined) this.#read(operator);
      this.#operator = undefined;
      await this.#relaunch();
    }
  }

  /** It may die while it starts, too, or find the API server away. */
  async #relaunch(): Promise<void> {
    if (this.#stopped) return;
    try {
      await this.#launch();
    } catch {
      await sleep(200);
      await this.#relaunch();
    }
  }

  #read(operator: Operator): void {
    const lines = operator.logs().split('\n');
    this.bugs.splice(0, this.bugs.length, ...lines.filter((line) => BUG.test(line)));
  }

  /** What the wall clock shows from now on, as an offset such as +3h. */
  async setClock(offset: string): Promise<void> {
    await writeFile(this.#clock, `${offset}\n`);
  }

  async kill(): Promise<void> {
    await this.#operator?.kill();
  }

  async metrics(): Promise<string> {
    return (await this.#operator?.metrics()) ?? '';
  }

  get pid(): number | undefined {
    return this.#operator?.process.pid;
  }

  /** SIGTERM, for good. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#operator?.stop();
    await this.#running;
  }
}
