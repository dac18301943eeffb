/** Connections and servers of a test file, which are ended together, and what is executed over them. */
import { SSHDialer } from '../dialer.ts';
import type { Connection, ConnectOptions, ExecOptions, ExecResult, Target } from '../types.ts';
import { type SSHDOptions, TestSSHD } from './sshd.ts';

const signal = new AbortController().signal;
const OPTIONS: ConnectOptions = { signal, timeout: 10_000, keepalive: 10_000, legacyAlgorithms: false };

export class Connections {
  readonly #dialer = new SSHDialer();
  readonly #open: Connection[] = [];
  readonly #servers: TestSSHD[] = [];

  async start(options: SSHDOptions = {}): Promise<TestSSHD> {
    const server = await TestSSHD.start(options);
    this.#servers.push(server);
    return server;
  }

  async connect(target: Target, options: Partial<ConnectOptions> = {}): Promise<Connection> {
    const opened = await this.#dialer.connect(target, { ...OPTIONS, ...options });
    this.#open.push(opened);
    return opened;
  }

  async end(): Promise<void> {
    await Promise.all(this.#open.map((each) => each.close()));
    await Promise.all(this.#servers.map((server) => server.stop()));
  }
}

export const run = (on: Connection, program: string | Uint8Array, options: Partial<ExecOptions> = {}): Promise<ExecResult> =>
  on.exec({ privilege: 'plain', program, signal, ...options });

export const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    (value) => {
      throw new Error(`it succeeded: ${JSON.stringify(value)}`);
    },
    (error: unknown) => error as Error,
  );
