/** Hosts for tests without SSH: each exec is a shell on this machine, and the runner keeps its things in a folder of its own. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FileStep, Plan, Step } from '../../bootstrap/plan.ts';
import type { CleanupCommand, CleanupPlan } from '../../cleanup/plan.ts';
import { RUNNER_PATHS, type RunnerPaths } from '../program.ts';
import { runnerFactory } from '../runner.ts';
import type { Connection, ExecOptions, ExecResult, HostKey } from '../../ssh/types.ts';
import type { Claimant, FollowEvent, OutputEvent, RunOptions, RunState, Runner } from '../types.ts';

export const HOST_KEY: HostKey = { type: 'ssh-ed25519', fingerprint: 'SHA256:test', publicKey: 'ssh-ed25519 test' };

/** As sshd does it: an aborted exec closes the streams and leaves the processes alone. */
export class LocalConnection implements Connection {
  readonly hostKey = HOST_KEY;
  readonly #shell: string[];
  /** Programs that were executed. */
  execs = 0;
  /** Cuts every program to this share of its bytes before it is sent. */
  cut = 1;

  constructor(shell: string[] = ['/bin/sh', '-s']) {
    this.#shell = shell;
  }

  exec({ program, keepStdin, dialogue, signal, timeout, onStdout }: ExecOptions): Promise<ExecResult> {
    this.execs++;
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const [command = '', ...args] = this.#shell;
      const child = spawn(command, args, { stdio: 'pipe', detached: true });
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      const stop = (reason: Error): void => {
        child.stdin.destroy();
        child.stdout.destroy();
        child.stderr.destroy();
        child.unref();
        reject(reason);
      };
      const abort = (): void => stop(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      const timer = timeout === undefined ? undefined : setTimeout(() => stop(new Error('ExecTimeout')), timeout);
      child.stdin.on('error', () => undefined);
      child.on('error', reject);
      child.stdout.on('data', (chunk: Buffer) => {
        try {
          if (onStdout) onStdout(chunk);
          else stdout.push(chunk);
        } catch (error) {
          stop(error as Error);
        }
      });
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      child.on('close', (code) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        resolve({ exitCode: code ?? 255, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
      });
      const bytes = Buffer.from(program);
      child.stdin.write(bytes.subarray(0, Math.floor(bytes.length * this.cut)));
      void dialogue?.answered.then(() => clearTimeout(timer));
      void dialogue?.lastWord.then((word) => child.stdin.end(word));
      if ((!keepStdin && !dialogue) || this.cut < 1) child.stdin.end();
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** What /bin/sh and the tools are on a host. */
export interface Userland {
  shell: string[];
  path: string;
}

/** `program` in the place of /bin/sh, for the detached job as well. */
function inPlaceOfSh(program: string): string[] {
  const script = `mount --bind ${program} "$(readlink -f /bin/sh)" && exec /bin/sh -s`;
  return ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', script];
}

let applets: string | undefined;
// Not at the end of the process: Jest kills its workers.
afterAll(() => applets !== undefined && rmSync(applets, { recursive: true }));

/** A search path on which there is nothing but busybox. */
function busyboxPath(): string {
  if (applets === undefined) {
    const directory = mkdtempSync(join(tmpdir(), 'busybox-'));
    execFileSync('busybox', ['--install', '-s', directory]);
    applets = directory;
  }
  return applets;
}

export const USERLANDS = {
  dash: (): Userland => ({ shell: inPlaceOfSh('/usr/bin/dash'), path: RUNNER_PATHS.path }),
  bash: (): Userland => ({ shell: inPlaceOfSh('/usr/bin/bash'), path: RUNNER_PATHS.path }),
  busybox: (): Userland => ({ shell: inPlaceOfSh('/usr/bin/busybox'), path: busyboxPath() }),
};

/** Of this test process alone: what is killed is found among all processes of the machine. */
export const CLAIMANT: Claimant = { runID: `run-${process.pid}`, machine: { namespace: 'default', name: 'worker', uid: 'uid-1' } };
export const RUN = CLAIMANT.runID;
export const OPTIONS: RunOptions = { commandsAsScript: false, workingDir: '/' };

export function planOf(...steps: (Step | string)[]): Plan {
  return {
    steps: steps.map((step, index) => (typeof step === 'string' ? { kind: 'command', name: `runcmd[${index}]`, script: step } : step)),
    expectsSentinel: false,
    ofHost: false,
    findings: [],
  };
}

export function fileStep(path: string, content: string | Uint8Array, more: Partial<FileStep> = {}): FileStep {
  return { kind: 'file', name: `write_files ${path}`, path, content: Buffer.from(content), mode: 0o644, append: false, ...more };
}

export function cleanupOf(commands: (string | Partial<CleanupCommand>)[], checks: string[] = []): CleanupPlan {
  return {
    source: 'test',
    commands: commands.map((each, index) => {
      const command = typeof each === 'string' ? { script: each } : each;
      return { name: `cleanUpCommands[${index}]`, script: '', mayFail: false, ...command };
    }),
    checks: checks.map((script, index) => ({ name: `check ${index}`, script })),
  };
}

/** Resolves once `condition` holds; for what only the file system or /proc can tell. */
export async function until(condition: () => boolean, what: string, milliseconds = 15_000): Promise<void> {
  const deadline = Date.now() + milliseconds;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(5);
  }
}

export interface Process {
  pid: number;
  state: string;
  command: string;
  environment: string;
}

/** Processes that live. */
export function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const state = /\) (.)/.exec(readFileSync(`/proc/${name}/stat`, 'latin1'))?.[1] ?? 'X';
        const command = readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ');
        return [{ pid: Number(name), state, command, environment: readFileSync(`/proc/${name}/environ`, 'latin1') }];
      } catch {
        return []; // it ended meanwhile
      }
    })
    .filter(({ state }) => state !== 'Z' && state !== 'X');
}

export interface StartOptions {
  runID?: string;
  /** Makes the runner that starts it. */
  runner?: (options: { signal: AbortSignal }) => Runner;
}

export class LocalHost implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'runner-'));
  readonly paths: RunnerPaths;
  readonly shell: string[];
  /** Joined into every runner's signal: ends all execs. */
  readonly #end = new AbortController();

  constructor({ shell, path }: Userland = { shell: ['/bin/sh', '-s'], path: RUNNER_PATHS.path }, paths: Partial<RunnerPaths> = {}) {
    this.shell = shell;
    this.paths = {
      state: join(this.directory, 'state'),
      volatile: join(this.directory, 'run'),
      sentinel: join(this.directory, 'sentinel'),
      systemd: join(this.directory, 'no-systemd'),
      path,
      ...paths,
    };
  }

  connect(): LocalConnection {
    return new LocalConnection(this.shell);
  }

  /** A runner over a connection of its own. */
  runner(options: { signal?: AbortSignal; connection?: Connection } = {}): Runner {
    const signal = AbortSignal.any([this.#end.signal, ...(options.signal ? [options.signal] : [])]);
    return runnerFactory(this.paths)(options.connection ?? this.connect(), 'plain', signal);
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  claim(...parts: string[]): string {
    return join(this.paths.state, 'claim', ...parts);
  }

  /** Of what the run has in the claim. */
  room(...parts: string[]): string {
    return this.claim(`run.${RUN}`, ...parts);
  }

  read(...parts: string[]): string {
    return readFileSync(this.path(...parts), 'utf8');
  }

  /** Starts a run and goes away once it lives, or is over. */
  async start(plan: Plan, { runID = RUN, runner = this.runner.bind(this) }: StartOptions = {}): Promise<void> {
    const enough = new AbortController();
    const left = new Error('left');
    const leave = ({ kind }: FollowEvent): void => {
      if (kind === 'running') enough.abort(left);
    };
    await runner({ signal: enough.signal })
      .run(runID, plan, OPTIONS, leave)
      .catch((error: unknown) => {
        if (error !== left) throw error;
      });
  }

  /** Claims, starts, follows to the end; collects the output. */
  async bootstrap(plan: Plan, options: RunOptions = OPTIONS): Promise<{ state: RunState; output: string; commands: string[] }> {
    const runner = this.runner();
    await runner.claim(CLAIMANT, cleanupOf([]));
    const seen = collect();
    const state = await runner.run(RUN, plan, options, seen.on);
    return { state, output: seen.output(), commands: seen.commands };
  }

  /** Pid of the process that performs a job. */
  pid(job = 'bootstrap'): number {
    return Number(readFileSync(this.room(job, 'started'), 'utf8').split(' ')[0]);
  }

  /** Those that were started with a path of the host. */
  processes(): Process[] {
    return processes().filter(({ command }) => command.includes(this.directory));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    const holder = existsSync(this.claim('run')) ? readFileSync(this.claim('run'), 'utf8').trim() : RUN;
    await runnerFactory(this.paths)(this.connect(), 'plain', new AbortController().signal).kill(holder);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Seen {
  on: (event: FollowEvent) => void;
  events: OutputEvent[];
  commands: string[];
  output(): string;
}

export function collect(): Seen {
  const events: OutputEvent[] = [];
  const commands: string[] = [];
  const chunks: Buffer[] = [];
  return {
    on: (event) => {
      if (event.kind === 'running') return;
      events.push(event);
      if (event.kind === 'command') commands.push(event.name);
      else chunks.push(event.chunk);
    },
    events,
    commands,
    output: () => Buffer.concat(chunks).toString('utf8'),
  };
}
