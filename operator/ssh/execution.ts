import { constants } from 'node:os';
import type { ClientChannel } from 'ssh2';
import { hopName, quoted } from './errors.ts';
import type { Link } from './link.ts';
import { MarkedStream, Tail } from './output.ts';
import type { Shells } from './shells.ts';
import { SSHError } from './types.ts';
import type { Dialogue, ExecOptions, ExecResult, SSHErrorReason } from './types.ts';

const DEFAULT_MAX_OUTPUT = 1024 * 1024;
const STDERR_TAIL = 8 * 1024;

/**
 * Stands before every program and lets the shell say on both streams that it begins. What comes before is somebody else's:
 * sudo's warnings, a login shell's greeting. Where it never comes, the program did not run, whatever the exit code.
 */
const MARKER = Buffer.from('\x1eprogram\x1e\n');
const PREAMBLE = Buffer.from(`echo '\x1eprogram\x1e'; echo '\x1eprogram\x1e' >&2\n`);

/** One exec on one channel, from opening it to its result. */
export class Execution {
  readonly #link: Link;
  readonly #shells: Shells;
  readonly #options: ExecOptions;
  readonly #loss: () => SSHError | undefined;
  readonly #resolve: (result: ExecResult) => void;
  readonly #reject: (error: unknown) => void;

  readonly #stdout = new MarkedStream(MARKER, STDERR_TAIL);
  readonly #stderr = new MarkedStream(MARKER, STDERR_TAIL);
  readonly #stderrTail = new Tail(STDERR_TAIL);
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  #channel: ClientChannel | undefined;
  #exitCode: number | undefined;
  #settled = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param loss the error to give where the connection is gone, undefined while it is there. */
  constructor(
    link: Link,
    shells: Shells,
    options: ExecOptions,
    loss: () => SSHError | undefined,
    resolve: (result: ExecResult) => void,
    reject: (error: unknown) => void,
  ) {
    this.#link = link;
    this.#shells = shells;
    this.#options = options;
    this.#loss = loss;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { signal, privilege, another = false } = this.#options;
    const lost = this.#loss();
    if (lost) {
      this.#fail(lost);
      return;
    }
    signal.addEventListener('abort', this.#abort, { once: true });
    this.#startTimer();
    this.#shells.open(privilege, another, (error, channel) => this.#opened(error, channel));
  }

  #opened(error: Error | undefined, channel: ClientChannel): void {
    if (error) {
      this.#fail(this.#openError(error));
      return;
    }
    this.#channel = channel;
    if (this.#settled) {
      this.#closeChannel();
      return;
    }
    channel.on('data', (chunk: Buffer) => this.#onStdout(this.#stdout.push(chunk)));
    channel.stderr.on('data', (chunk: Buffer) => this.#stderrTail.push(this.#stderr.push(chunk)));
    channel.on('exit', (code: number | null, name?: string) => (this.#exitCode = exitCodeOf(code, name)));
    channel.on('error', () => undefined); // its reason comes with the connection's end
    const closed = new Promise((resolve) => channel.on('close', resolve));
    const drained = new Promise((resolve) => channel.stderr.on('close', resolve));
    void Promise.all([closed, drained]).then(() => this.#finish());
    channel.write(PREAMBLE);
    channel.write(this.#options.program);
    const { dialogue, keepStdin } = this.#options;
    if (dialogue) this.#converse(channel, dialogue);
    else if (!keepStdin) channel.end();
  }

  #converse(channel: ClientChannel, { answered, lastWord }: Dialogue): void {
    void answered.then(() => clearTimeout(this.#timer));
    void lastWord.then((word) => {
      if (this.#settled) return;
      this.#startTimer();
      channel.end(word);
    });
  }

  #startTimer(): void {
    const { timeout } = this.#options;
    clearTimeout(this.#timer);
    if (timeout !== undefined) this.#timer = setTimeout(() => this.#fail(this.#timeoutError(timeout)), timeout);
  }

  #onStdout(chunk: Buffer): void {
    if (this.#settled || chunk.length === 0) return;
    const { onStdout, maxOutput = DEFAULT_MAX_OUTPUT } = this.#options;
    if (onStdout) {
      try {
        onStdout(chunk);
      } catch (error) {
        this.#fail(error); // within ssh2 it would end the whole connection
      }
      return;
    }
    this.#collected.push(chunk);
    this.#collectedBytes += chunk.length;
    if (this.#collectedBytes <= maxOutput) return;
    this.#fail(this.#error('OutputTooLong', `A command on ${this.#who} wrote more than ${maxOutput} bytes of output and was ended.`));
  }

  /** Everything of the channel has come. */
  #finish(): void {
    if (this.#settled) return;
    const exitCode = this.#exitCode;
    if (exitCode === undefined) {
      this.#fail(this.#loss() ?? this.#error('ConnectionLost', `${this.#who} closed a command's channel without an exit code.`));
      return;
    }
    if (!this.#stdout.seen && !this.#stderr.seen) {
      this.#fail(this.#notStartedError(exitCode));
      return;
    }
    this.#settle();
    const stdout = Buffer.concat(this.#collected).toString('utf8');
    this.#resolve({ exitCode, stdout, stderr: this.#stderrTail.toString() });
  }

  readonly #abort = (): void => this.#fail(this.#options.signal.reason);

  #fail(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#closeChannel();
    this.#collected = [];
    this.#reject(error);
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener('abort', this.#abort);
  }

  /** The end of its standard input tells a follow to end; closing the channel makes the others die of their next output. */
  #closeChannel(): void {
    this.#channel?.eof();
    this.#channel?.close();
  }

  get #who(): string {
    return `${this.#link.hop.user}@${hopName(this.#link.hop)}`;
  }

  #error(reason: SSHErrorReason, message: string, cause?: unknown): SSHError {
    return new SSHError(reason, hopName(this.#link.hop), message, cause === undefined ? {} : { cause });
  }

  #timeoutError(timeout: number): SSHError {
    return this.#error('ExecTimeout', `A command on ${this.#who} did not end within ${timeout / 1000} s and was ended.`);
  }

  #openError(error: unknown): SSHError {
    const lost = this.#loss();
    if (lost) return lost;
    const text = error instanceof Error ? error.message : String(error);
    if (/not connected|no response/i.test(text)) return this.#error('ConnectionLost', `The connection to ${this.#who} was lost.`, error);
    return this.#error(
      'ChannelRefused',
      `${this.#who} opens no channel for a command (${text}): see MaxSessions and ForceCommand in its sshd_config.`,
      error,
    );
  }

  /** The exit code is that of sudo or of the login shell; sudo's words are translated, so only their beginning is relied on. */
  #notStartedError(exitCode: number): SSHError {
    const words = this.#stderr.before.trim() || this.#stdout.before.trim();
    // After what the login shell's rc files print.
    const last = /^sudo:.*$/m.exec(words)?.[0] ?? words.split('\n').at(-1) ?? '';
    const said = words === '' ? `exit code ${exitCode}` : `exit code ${exitCode}, "${quoted(last)}"`;
    if (this.#options.privilege === 'sudo') {
      if (exitCode === 127 || /sudo: (command )?not found/i.test(words)) {
        return this.#error(
          'SudoUnavailable',
          `sudo is not installed on ${this.#who} (${said}): install it, or log in as root without useSudo.`,
        );
      }
      // Of sudo's translations all but a few have this word.
      if (/^sudo:.*\btty\b/m.test(words)) {
        return this.#error(
          'SudoUnavailable',
          `sudo on ${this.#who} wants a terminal (${said}): take requiretty from ${this.#link.hop.user} in sudoers.`,
        );
      }
      if (/^sudo:/m.test(words)) {
        return this.#error(
          'SudoPasswordRequired',
          `sudo on ${this.#who} does not run without a password (${said}): give ${this.#link.hop.user} a NOPASSWD rule in sudoers.`,
        );
      }
    }
    return this.#error(
      'ChannelRefused',
      `${this.#who} gets no shell (${said}): give the user a login shell, and look for ForceCommand in sshd_config.`,
    );
  }
}

/** As shells report it: 128 and the signal's number for a process that a signal ended. */
function exitCodeOf(code: number | null, signal: string | undefined): number {
  if (code !== null) return code;
  const known: Partial<Record<string, number>> = constants.signals;
  return 128 + (known[signal ?? ''] ?? 0);
}
