/** A host for tests without SSH: each exec is a shell on this machine, and the runner keeps its things in a folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RUNNER_PATHS, type RunnerPaths } from '../program.ts';
import { runnerFactory } from '../runner.ts';
import type { Connection, ExecOptions, ExecResult, HostKey } from '../../ssh/types.ts';
import type { Runner } from '../types.ts';

export const HOST_KEY: HostKey = { type: 'ssh-ed25519', fingerprint: 'SHA256:test', publicKey: 'ssh-ed25519 test' };

/** As sshd does it: an aborted exec closes the streams and leaves the processes alone. */
export class LocalConnection implements Connection {
  readonly hostKey = HOST_KEY;
  readonly #shell: string[];
  /** Programs that were executed. */
  execs = 0;
  /** Cuts every program to this share of its bytes before it is sent. */
  cut = 1;
  children: ChildProcess[] = [];

  constructor(shell: string[] = ['/bin/sh', '-s']) {
    this.#shell = shell;
  }

  exec({ program, keepStdin, signal, timeout, onStdout }: ExecOptions): Promise<ExecResult> {
    this.execs++;
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const [command = '', ...args] = this.#shell;
      const child = spawn(command, args, { stdio: 'pipe', detached: true });
      this.children.push(child);
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
        if (onStdout) onStdout(chunk);
        else stdout.push(chunk);
      });
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      child.on('close', (code) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        resolve({ exitCode: code ?? 255, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
      });
      const bytes = Buffer.from(program);
      child.stdin.write(bytes.subarray(0, Math.floor(bytes.length * this.cut)));
      if (!keepStdin || this.cut < 1) child.stdin.end();
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export class LocalHost implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'runner-'));
  readonly paths: RunnerPaths = {
    state: join(this.directory, 'state'),
    volatile: join(this.directory, 'run'),
    sentinel: join(this.directory, 'sentinel'),
    systemd: join(this.directory, 'no-systemd'),
    path: RUNNER_PATHS.path,
  };
  readonly shell: string[];

  constructor(shell: string[] = ['/bin/sh', '-s']) {
    this.shell = shell;
  }

  /** A runner over a connection of its own. */
  runner(options: { signal?: AbortSignal; connection?: Connection } = {}): Runner {
    const connection = options.connection ?? new LocalConnection(this.shell);
    return runnerFactory(this.paths)(connection, 'plain', options.signal ?? new AbortController().signal);
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  claim(...parts: string[]): string {
    return join(this.paths.state, 'claim', ...parts);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
