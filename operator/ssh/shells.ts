import type { Client, ClientChannel } from 'ssh2';
import { EXEC_LINES, type Privilege } from './types.ts';

type Opened = (error: Error | undefined, channel: ClientChannel) => void;

/** The shells of a connection. To open one takes two round trips, which the next exec need not wait for where one was prepared. */
export class Shells {
  readonly #client: Client;
  /** Resolves to undefined where it was refused or has ended: that is told to whoever opens the next one. */
  #spare: { privilege: Privilege; channel: () => Promise<ClientChannel | undefined> } | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * @param another opens one for the next call as well, after this one: sshd may have room for one only. A refusal is asked
   * again, once: sshd also refuses what it reads in one go with the end of the shell before, which it only tidies after that.
   */
  open(privilege: Privilege, another: boolean, opened: Opened): void {
    const first: Opened = (error, channel) => {
      if (error !== undefined && 'reason' in error) this.#take(privilege, opened);
      else opened(error, channel);
    };
    this.#take(privilege, first, () => {
      if (another) this.#prepare(privilege);
    });
  }

  /** The prepared one, or else a new one. */
  #take(privilege: Privilege, opened: Opened, asked = (): void => undefined): void {
    const spare = this.#spare;
    if (spare?.privilege !== privilege) {
      this.#exec(privilege, opened);
      asked();
      return;
    }
    this.#spare = undefined;
    void spare.channel().then((channel) => {
      if (channel === undefined) this.#exec(privilege, opened);
      else opened(undefined, channel);
      asked();
    });
  }

  #prepare(privilege: Privilege): void {
    const { promise, resolve } = Promise.withResolvers<ClientChannel | undefined>();
    let ended = false;
    this.#spare = { privilege, channel: () => promise.then((channel) => (ended ? undefined : channel)) };
    this.#exec(privilege, (error, channel) => {
      resolve(error === undefined ? channel : undefined);
      if (error === undefined) channel.on('exit', () => (ended = true)).on('error', () => (ended = true));
    });
  }

  #exec(privilege: Privilege, opened: Opened): void {
    try {
      this.#client.exec(EXEC_LINES[privilege], opened);
    } catch (error) {
      opened(error as Error, undefined as never); // ssh2 throws where its socket is closing
    }
  }
}
