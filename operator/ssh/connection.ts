import { lostError } from './errors.ts';
import { Execution } from './execution.ts';
import { destroyStreams, endLinks } from './link.ts';
import type { Link } from './link.ts';
import { Shells } from './shells.ts';
import type { SSHError } from './types.ts';
import type { Connection, ExecOptions, ExecResult, HostKey } from './types.ts';

/** An SSH connection with the bastions under it. */
export class SSHConnection implements Connection {
  readonly hostKey: HostKey;
  readonly #links: Link[];
  readonly #host: Link;
  readonly #shells: Shells;
  #closing: Promise<void> | undefined;
  #lost = false;

  /** @param links all hops, the outermost first, `host` the last of them. */
  constructor(links: Link[], host: Link) {
    this.#links = links;
    this.#host = host;
    this.#shells = new Shells(host.client);
    this.hostKey = host.hostKey;
    host.client.once('close', () => {
      this.#lost = true;
      // Nobody else would close the bastions of a host that went away.
      this.#closing ??= destroyStreams(links.map((link) => link.stream));
    });
  }

  exec(options: ExecOptions): Promise<ExecResult> {
    return new Promise((resolve, reject) => {
      options.signal.throwIfAborted();
      const execution = new Execution(this.#host, this.#shells, options, () => this.#loss(), resolve, reject);
      execution.start();
    });
  }

  close(): Promise<void> {
    this.#closing ??= endLinks(this.#links);
    return this.#closing;
  }

  /** The error for what runs when the connection is gone; undefined while it is there. */
  #loss(): SSHError | undefined {
    if (!this.#lost && !this.#closing) return undefined;
    const failed = this.#links.find((link) => link.failure) ?? this.#host;
    return lostError(failed.hop, failed.failure ?? (this.#lost ? undefined : new Error('it was closed here')));
  }
}
