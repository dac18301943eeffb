/**
 * A real OpenSSH server for tests: Debian's openssh-server, started as root on a loopback port of its own, in a mount namespace
 * (unshare, of util-linux) where /etc/passwd, shadow and sudoers are its own. Nothing of the machine is changed.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Hop, Target } from '../types.ts';
import { generateKey } from './keys.ts';
import type { KeyFiles, KeyOptions } from './keys.ts';

/** A login that exists only for this server. */
export interface Account {
  name: string;
  /** Default /bin/bash. Its home is `<directory>/<name>`. */
  shell?: string;
  /** What sudo lets it do. Default `none`. */
  sudo?: 'none' | 'password' | 'nopasswd';
}

export interface SSHDOptions {
  /** Default one Ed25519 key. */
  hostKeys?: KeyOptions[];
  /** Lines of sshd_config that win over those below. */
  config?: string[];
  /** Default 127.0.0.1. */
  address?: string;
  accounts?: Account[];
}

const DEADLINE = 15_000;

export class TestSSHD {
  readonly address: string;
  readonly port: number;
  /** Holds the configuration, the keys and the accounts' homes; removed by stop(). */
  readonly directory: string;
  /** Pairs in the order of SSHDOptions.hostKeys. */
  hostKeys: KeyFiles[];
  /** Accepted for every account. */
  readonly clientKey: KeyFiles;
  /** What sshd logged (LogLevel VERBOSE) so far. */
  log = '';
  readonly #options: SSHDOptions;
  readonly #logged = new EventEmitter();
  #process: ChildProcess | undefined;

  private constructor(options: SSHDOptions, port: number) {
    this.#options = options;
    this.address = options.address ?? '127.0.0.1';
    this.port = port;
    this.directory = mkdtempSync(join(tmpdir(), 'sshd-'));
    chmodSync(this.directory, 0o755);
    this.clientKey = generateKey(this.directory);
    this.authorize(this.clientKey.publicKey);
    this.hostKeys = this.#makeHostKeys();
    this.#writeAccounts(options.accounts ?? []);
  }

  /** Resolves when the server listens. */
  static async start(options: SSHDOptions = {}): Promise<TestSSHD> {
    const server = new TestSSHD(options, await freePort(options.address ?? '127.0.0.1'));
    await server.#listen();
    return server;
  }

  /** The server as a hop, its host key known; `overrides` replace parts of it. */
  hop(overrides: Partial<Hop> = {}): Hop {
    const keys = this.hostKeys.map((key) => key.publicKey);
    return {
      address: this.address,
      port: this.port,
      user: 'root',
      privateKey: this.clientKey.privateKey,
      hostKeys: { expected: { kind: 'keys', keys }, trustOnFirstUse: false },
      ...overrides,
    };
  }

  target(overrides: Partial<Target> = {}): Target {
    return { ...this.hop(overrides), bastions: overrides.bastions ?? [] };
  }

  /** Adds a public key line to the authorized keys of every account. */
  authorize(publicKey: string): void {
    writeFileSync(join(this.directory, 'authorized_keys'), `${publicKey}\n`, { flag: 'a' });
  }

  /** Resolves when `count` matches of the pattern were logged since the start. */
  async waitForLog(pattern: RegExp, count = 1): Promise<void> {
    const signal = AbortSignal.timeout(DEADLINE);
    while ([...this.log.matchAll(new RegExp(pattern, 'g'))].length < count) {
      await once(this.#logged, 'line', { signal }).catch(() => {
        throw new Error(`sshd did not log ${String(pattern)} ${count} times but:\n${this.log}`);
      });
    }
  }

  /** The processes of open connections, those that are still authenticating too. */
  connections(): number[] {
    return this.#process?.pid === undefined ? [] : childrenOf(this.#process.pid);
  }

  /** Resolves when every connection has ended. */
  async idle(): Promise<void> {
    const end = Date.now() + DEADLINE;
    while (this.connections().length > 0) {
      await setTimeout(10);
      if (Date.now() > end) throw new Error(`sshd still has ${this.connections().length} connections:\n${this.log}`);
    }
  }

  /** Kills every connection's processes, as a crash would; the server goes on listening. */
  killConnections(): void {
    for (const child of this.connections()) for (const pid of [...childrenOf(child).filter(isSSHD), child]) kill(pid);
  }

  /** Starts again on the same port with new host keys, as an installed-anew host would. */
  async rekey(): Promise<void> {
    await this.#end();
    this.hostKeys = this.#makeHostKeys();
    await this.#listen();
  }

  /** Ends the server and its connections, and removes its directory. */
  async stop(): Promise<void> {
    await this.#end();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #end(): Promise<void> {
    const running = this.#process;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    this.killConnections();
    running.kill('SIGKILL');
    await once(running, 'close');
  }

  #makeHostKeys(): KeyFiles[] {
    return (this.#options.hostKeys ?? [{}]).map((options) => generateKey(this.directory, options));
  }

  async #listen(): Promise<void> {
    mkdirSync('/run/sshd', { recursive: true }); // privilege separation asks for it
    const path = join(this.directory, 'sshd_config');
    writeFileSync(path, this.#configuration());
    // Without accounts, sudo need not be installed.
    const files = ['passwd', 'shadow', ...(this.#options.accounts ? ['sudoers'] : [])];
    const binds = files.map((name) => `mount --bind ${join(this.directory, name)} /etc/${name}`);
    const command = [...binds, `exec /usr/sbin/sshd -D -e -f ${path}`].join(' && ');
    const started = spawn('unshare', ['-m', 'sh', '-c', command], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = started;
    const before = this.#matches(/Server listening on/g);
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log += text;
      this.#logged.emit('line');
    });
    started.once('close', () => this.#logged.emit('line'));
    await this.waitForLog(/Server listening on/, before + 1);
  }

  #matches(pattern: RegExp): number {
    return [...this.log.matchAll(pattern)].length;
  }

  #configuration(): string {
    const given = this.#options.config ?? [];
    const defaults = [
      `ListenAddress ${this.address.includes(':') ? `[${this.address}]` : this.address}:${this.port}`,
      ...this.hostKeys.map((key) => `HostKey ${key.path}`),
      `AuthorizedKeysFile ${join(this.directory, 'authorized_keys')}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'MaxSessions 100',
      'MaxStartups 200',
      'PrintMotd no',
      'LogLevel VERBOSE',
    ];
    const keyword = (line: string): string => line.slice(0, line.indexOf(' ') + 1);
    return [...given, ...defaults.filter((line) => !given.some((other) => other.startsWith(keyword(line)))), ''].join('\n');
  }

  #writeAccounts(accounts: Account[]): void {
    const write = (name: string, mode: number, lines: string[]): void =>
      writeFileSync(join(this.directory, name), `${lines.join('\n')}\n`, { mode });
    const home = (name: string): string => join(this.directory, name);
    for (const name of ['root', ...accounts.map((account) => account.name)]) mkdirSync(home(name));
    const logins = accounts.map(({ name, shell = '/bin/bash' }, i) => `${name}:x:${64000 + i}:65534::${home(name)}:${shell}`);
    // Root's home is moved too, so that the machine's own .bashrc stays out of the tests.
    const passwd = readFileSync('/etc/passwd', 'utf8')
      .trim()
      .replace(/^(root:.*):[^:]*:([^:]*)$/m, `$1:${home('root')}:$2`);
    write('passwd', 0o644, [passwd, ...logins]);
    write('shadow', 0o600, [readFileSync('/etc/shadow', 'utf8').trim(), ...accounts.map(({ name }) => `${name}:*:19000:0:99999:7:::`)]);
    const rights = accounts.flatMap(({ name, sudo = 'none' }) => {
      if (sudo === 'none') return [];
      return [`${name} ALL=(ALL) ${sudo === 'nopasswd' ? 'NOPASSWD: ' : ''}ALL`];
    });
    write('sudoers', 0o440, ['root ALL=(ALL) ALL', ...rights]);
  }
}

/** A port of the address that nothing listens on at the moment. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return bound.port;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return []; // it has ended
  }
}

function isSSHD(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sshd';
  } catch {
    return false;
  }
}
