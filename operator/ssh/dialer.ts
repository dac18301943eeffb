import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Algorithms } from 'ssh2';
import { Deadline, abortable } from './abortable.ts';
import { algorithmOffer } from './algorithms.ts';
import type { AlgorithmOffer } from './algorithms.ts';
import { SSHConnection } from './connection.ts';
import { connectError, forwardError, hopName, hostKeyError, timeoutError } from './errors.ts';
import type { Progress } from './errors.ts';
import { handshake } from './handshake.ts';
import { expectationOf, hostKeyAlgorithms, hostKeyFromBuffer, matchHostKey, mayHaveAnotherType } from './host-keys.ts';
import type { Expectation } from './host-keys.ts';
import { destroyStreams } from './link.ts';
import type { Link } from './link.ts';
import { KeyRing } from './key-ring.ts';
import { withoutSHA1 } from './private-key.ts';
import type { PrivateKey } from './private-key.ts';
import { SSHError } from './types.ts';
import type { ConnectOptions, Connection, Dialer, Hop, HostKey, Target } from './types.ts';

/** Where a DNS name has several addresses: milliseconds for each. Node's 250 give up on hosts that are merely far away. */
const ADDRESS_TIMEOUT = 3000;

/** Connects through the bastions, the outermost first, each hop with its own user, key, host key policy and time. */
export class SSHDialer implements Dialer {
  readonly #keys: KeyRing;

  constructor(keys = new KeyRing()) {
    this.#keys = keys;
  }

  /**
   * Rejects with SSHError, or with the signal's reason when it aborts. Whatever was opened by then is closed before.
   */
  async connect(target: Target, options: ConnectOptions): Promise<Connection> {
    const links: Link[] = [];
    try {
      for (const bastion of target.bastions) links.push(await this.#hop(bastion, links.at(-1), true, options));
      const host = await this.#hop(target, links.at(-1), false, options);
      return new SSHConnection([...links, host], host);
    } catch (error) {
      await destroyStreams(links.map((link) => link.stream));
      throw error;
    }
  }

  async #hop(hop: Hop, via: Link | undefined, isBastion: boolean, options: ConnectOptions): Promise<Link> {
    const key = await this.#keys.read(hop.privateKey, hop.passphrase, hopName(hop));
    options.signal.throwIfAborted();
    return new HopConnector(hop, key, via, isBastion, options).connect();
  }
}

/** One hop: a stream, a handshake, and both again where another host key type has to be asked for. */
class HopConnector {
  readonly #hop: Hop;
  readonly #via: Link | undefined;
  readonly #isBastion: boolean;
  readonly #options: ConnectOptions;
  readonly #key: PrivateKey;
  readonly #expectation: Expectation;
  readonly #offer: AlgorithmOffer;
  readonly #progress: Progress;

  constructor(hop: Hop, key: PrivateKey, via: Link | undefined, isBastion: boolean, options: ConnectOptions) {
    this.#hop = hop;
    this.#via = via;
    this.#isBastion = isBastion;
    this.#options = options;
    this.#key = options.legacyAlgorithms ? key : withoutSHA1(key);
    this.#expectation = expectationOf(hop.hostKeys, hop);
    this.#offer = algorithmOffer(options.legacyAlgorithms);
    const { fingerprint } = hostKeyFromBuffer(key.getPublicSSH());
    this.#progress = { phase: 'connect', heard: '', methods: [], partialSuccess: false, key: `${fingerprint} (${key.type})` };
  }

  async connect(): Promise<Link> {
    const { signal, timeout } = this.#options;
    const deadline = new Deadline(signal, timeout, () => timeoutError(this.#hop, this.#progress, timeout));
    try {
      return await this.#connect(deadline.signal);
    } finally {
      deadline.end();
    }
  }

  /**
   * Where only a fingerprint is known, its type isn't: as long as the server presents others, connects again without their
   * types, at most once for each type that there is.
   */
  async #connect(signal: AbortSignal): Promise<Link> {
    const refused: HostKey[] = [];
    for (;;) {
      const serverHostKey = hostKeyAlgorithms(this.#expectation, this.#offer.serverHostKey, refused);
      if (serverHostKey.length === 0) throw this.#refusal(refused);
      let result;
      try {
        result = await this.#attempt({ ...this.#offer, serverHostKey }, signal);
      } catch (error) {
        if (refused.length > 0 && isWithoutOtherKey(error)) throw this.#refusal(refused);
        throw error;
      }
      if (!('refused' in result)) return result;
      refused.push(result.refused);
      if (this.#verdict(result.refused) !== 'changed' || !mayHaveAnotherType(this.#expectation)) throw this.#refusal(refused);
    }
  }

  #verdict(key: HostKey): ReturnType<typeof matchHostKey> {
    return matchHostKey(this.#expectation, key);
  }

  #refusal(refused: HostKey[]): SSHError {
    const verdicts = refused.map((key) => this.#verdict(key));
    const verdict = verdicts.find((each) => each === 'revoked' || each === 'unknown') ?? 'changed';
    return hostKeyError(verdict, this.#hop, this.#expectation, refused, this.#isBastion);
  }

  async #attempt(algorithms: Algorithms, signal: AbortSignal): Promise<Link | { refused: HostKey }> {
    this.#progress.phase = 'connect';
    const stream = await (this.#via ? this.#forward(this.#via, signal) : this.#dial(signal));
    try {
      const result = await handshake(stream, {
        hop: this.#hop,
        key: this.#key,
        algorithms,
        accepts: (key) => this.#verdict(key) === 'accepted',
        keepalive: this.#options.keepalive,
        signal,
        progress: this.#progress,
      });
      if ('refused' in result) await destroyStreams([stream]);
      return result;
    } catch (error) {
      await destroyStreams([stream]);
      throw error;
    }
  }

  async #dial(signal: AbortSignal): Promise<Duplex> {
    const { address: host, port } = this.#hop;
    const socket = connect({ host, port, noDelay: true, autoSelectFamilyAttemptTimeout: ADDRESS_TIMEOUT });
    try {
      await abortable<void>(signal, (resolve, reject) => {
        socket.once('connect', resolve);
        socket.on('error', (error) => reject(connectError(error, this.#hop)));
      });
      return socket;
    } catch (error) {
      await destroyStreams([socket]);
      throw error;
    }
  }

  #forward(via: Link, signal: AbortSignal): Promise<Duplex> {
    const { address, port } = this.#hop;
    return abortable<Duplex>(signal, (resolve, reject) => {
      const opened = (error: Error | undefined, channel: Duplex): void => {
        if (error) reject(forwardError(error, via.hop, this.#hop));
        else if (signal.aborted) channel.destroy();
        else resolve(channel);
      };
      try {
        via.client.forwardOut('127.0.0.1', 0, address, port, opened);
      } catch (error) {
        reject(forwardError(error, via.hop, this.#hop)); // thrown where the bastion is gone already
      }
    });
  }
}

/** Whether the server has no host key of the types that were asked for. */
function isWithoutOtherKey(error: unknown): boolean {
  return error instanceof SSHError && error.cause instanceof Error && error.cause.message.includes('no matching host key format');
}
