/** An operator under test, which is started again whenever it ends, as a Deployment does it. */
import { existsSync, readFileSync } from 'node:fs';
import { rm, watch, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StartedEnvironment } from '../env/environment.ts';
import type { Operator } from '../env/operator.ts';
import type { Held } from './probe.ts';

/** In these lines it tells of a rejection or exception that nobody caught, or of an error that only code makes. */
const BUG = /this is a bug|"name":"(?:Type|Reference|Range|Assertion)Error"/;
const LEADS = /^leader_election_master_status\{.*\} 1$/m;

export interface ManagerOptions {
  environment: StartedEnvironment;
  name: string;
  /** Of the proxy before the API server. */
  server: string;
  program: string;
  /** A file: the failpoint that it names kills the process. */
  armed: string;
}

export class Manager {
  readonly #options: ManagerOptions;
  readonly #clock: string;
  readonly #probed: string;
  #args: string[] = [];
  #operator: Operator | undefined;
  #frozen = false;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();
  #log: (() => string) | undefined;
  /** How it ended, each time. */
  readonly ends: (number | NodeJS.Signals)[] = [];

  constructor(options: ManagerOptions) {
    this.#options = options;
    const file = (what: string) => join(options.environment.state.run.folder, `${options.name}.${what}`);
    this.#clock = file('clock');
    this.#probed = file('held');
  }

  /** Resolves when it is ready for the first time. */
  async start(args: string[] = []): Promise<void> {
    this.#args = args;
    this.#stopped = false;
    await this.setClock('+0');
    await this.#relaunch();
    this.#running = this.#keep();
  }

  async #launch(): Promise<void> {
    const { environment, name, server, program, armed } = this.#options;
    const env = {
      LD_PRELOAD: '/usr/$LIB/faketime/libfaketime.so.1',
      FAKETIME_TIMESTAMP_FILE: this.#clock,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAILPOINT_ARMED: armed,
      NODE_OPTIONS: `--import ${join(import.meta.dirname, 'probe.ts')}`,
      PROBE_FILE: this.#probed,
    };
    this.#operator = await environment.startOperator({ name, server, program, installed: true, args: this.#args, env });
    const started = this.#operator;
    this.#log = () => started.logs();
  }

  async #keep(): Promise<void> {
    while (!this.#stopped) {
      this.ends.push((await this.#operator?.process.ended) ?? 0);
      this.#frozen = false;
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

  /** Lines of its log that tell of a fault of its own. */
  get bugs(): string[] {
    return (this.#log?.() ?? '').split('\n').filter((line) => BUG.test(line));
  }

  /** What the wall clock shows from now on, as an offset such as +3h. */
  async setClock(offset: string): Promise<void> {
    await writeFile(this.#clock, `${offset}\n`);
  }

  async kill(): Promise<void> {
    await this.#operator?.kill();
  }

  /** SIGTERM, as a rollout does it; another one begins. */
  async replace(): Promise<void> {
    await this.#operator?.stop();
  }

  /** It does nothing until it is thawed, and does not know that time went by. */
  freeze(): void {
    this.#frozen = this.pid !== undefined && process.kill(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    if (this.#frozen && this.pid !== undefined) process.kill(this.pid, 'SIGCONT');
    this.#frozen = false;
  }

  get pid(): number | undefined {
    return this.#operator?.process.pid;
  }

  async leads(): Promise<boolean> {
    if (this.#operator === undefined || this.#frozen) return false;
    return LEADS.test(await this.#operator.metrics().catch(() => ''));
  }

  /** What its process holds after a forced collection. */
  async held(): Promise<Held> {
    if (this.pid === undefined) throw new Error(`${this.#options.name} does not run`);
    await rm(this.#probed, { force: true });
    const signal = AbortSignal.timeout(10_000);
    const changes = watch(dirname(this.#probed), { signal });
    const changed = changes.next();
    process.kill(this.pid, 'SIGUSR2');
    await changed;
    while (!existsSync(this.#probed)) await changes.next();
    await changes.return?.();
    return JSON.parse(readFileSync(this.#probed, 'utf8')) as Held;
  }

  /** SIGTERM, for good. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.thaw();
    await this.#operator?.stop();
    await this.#running;
  }
}
