/** Child processes that can't outlive this one, with a log file each. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, type ProcessID, record, type Run, signal, startTime } from './run.ts';

export interface ProcessOptions {
  /** Says in messages which process it is. */
  name: string;
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** File that gets its output, appended. */
  log: string;
}

export class ManagedProcess implements ProcessID {
  readonly name: string;
  readonly pid: number;
  readonly start: number;
  readonly log: string;
  readonly #child: ChildProcess;

  constructor(name: string, log: string, child: ChildProcess, id: ProcessID) {
    this.name = name;
    this.log = log;
    this.pid = id.pid;
    this.start = id.start;
    this.#child = child;
  }

  get alive(): boolean {
    return isAlive(this);
  }

  /** Exit code, or null while it runs or if a signal ended it. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Resolves when it has ended, with its exit code or the signal that ended it. */
  get ended(): Promise<number | NodeJS.Signals> {
    const how = (): number | NodeJS.Signals | null => this.#child.exitCode ?? this.#child.signalCode;
    return new Promise((resolve) => {
      const over = (): void => resolve(how() ?? 0);
      if (how() === null) this.#child.once('exit', over);
      else over();
    });
  }

  /** What it has written so far. */
  output(): string {
    return readFileSync(this.log, 'utf8');
  }

  /** SIGTERM, SIGKILL after `grace` milliseconds, and no descendant is left. Returns the exit code, null if it had to be killed. */
  async stop(grace = 10_000): Promise<number | null> {
    const family = descendants(this.pid);
    signal(this, 'SIGTERM');
    await this.#ended(grace);
    await this.#killAll(family);
    return this.exitCode;
  }

  /** SIGKILL, to it and to its descendants: it gets to do nothing more. */
  async kill(): Promise<void> {
    await this.#killAll(descendants(this.pid));
  }

  /** Waits until it ends by itself, and says by which signal, else with which exit code. */
  async waitForEnd(timeout = 60_000): Promise<NodeJS.Signals | number> {
    if (!(await this.#ended(timeout))) throw new Error(`${this.name} (process ${this.pid}) still runs after ${timeout / 1000} s`);
    return this.#child.signalCode ?? this.#child.exitCode ?? 0;
  }

  async #killAll(family: ProcessID[]): Promise<void> {
    signal(this, 'SIGKILL', true);
    for (const id of family) signal(id, 'SIGKILL');
    // They are nobody's children here, so that nothing tells of their end.
    const end = performance.now() + 10_000;
    while (family.some(isAlive) && performance.now() < end) await sleep(5);
    if (!(await this.#ended(10_000))) throw new Error(`${this.name} (process ${this.pid}) does not end, not even by SIGKILL`);
  }

  async #ended(milliseconds: number): Promise<boolean> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return true;
    const ended = new Promise<boolean>((resolve) => this.#child.once('exit', () => resolve(true)));
    const timer = new AbortController();
    const late = sleep(milliseconds, false, { signal: timer.signal }).catch(() => false);
    const result = await Promise.race([ended, late]);
    timer.abort();
    return result;
  }
}

/**
 * Starts a process that the kernel kills when this one ends, however it ends: setpriv asks for that signal and then becomes the command.
 * It has a session of its own, so that Ctrl-C at the terminal reaches this process alone, which then stops it in order.
 */
export function startProcess(run: Run, { name, command, args, env, cwd, log }: ProcessOptions): ManagedProcess {
  const output = openSync(log, 'a', 0o600);
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
    detached: true,
    stdio: ['ignore', output, output],
    ...(env && { env }),
    ...(cwd !== undefined && { cwd }),
  });
  closeSync(output);
  child.on('error', () => undefined);
  if (child.pid === undefined) throw new Error(`${name} could not be started: is setpriv (package util-linux) installed?`);
  const id = { pid: child.pid, start: startTime(child.pid) ?? 0 };
  record(run, { kind: 'process', name, ...id });
  return new ManagedProcess(name, log, child, id);
}

/** In namespaces whose end the kernel makes the end of all processes and mounts in them: nspawn alone leaves its machine behind when it is killed. */
export const unshare = ['unshare', '--mount', '--pid', '--fork', '--kill-child'];

/** Tries `probe` every `interval` milliseconds until it is true; fails with the end of the log if the process ends or time is up. */
export async function untilReady(started: ManagedProcess, probe: () => Promise<boolean>, timeout = 60_000, interval = 50): Promise<void> {
  const end = performance.now() + timeout;
  while (!(await probe().catch(() => false))) {
    const problem = !started.alive
      ? 'ended while starting'
      : performance.now() > end
        ? `is not ready after ${timeout / 1000} s`
        : undefined;
    if (problem !== undefined) throw new Error(`${started.name} ${problem}. The end of ${started.log}:\n${started.output().slice(-3000)}`);
    await sleep(interval);
  }
}

/** Direct children of a process, of whichever of its threads. */
export function children(pid: number): ProcessID[] {
  const lists = threads(pid).map((thread) => readIfThere(`/proc/${pid}/task/${thread}/children`));
  const pids = lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  return pids.flatMap((child) => {
    const start = startTime(child);
    return start === undefined ? [] : [{ pid: child, start }];
  });
}

/** Children, their children, and so on. */
export const descendants = (pid: number): ProcessID[] => children(pid).flatMap((child) => [child, ...descendants(child.pid)]);

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
