import type { Duplex } from 'node:stream';
import { NodeSSH } from 'node-ssh';
import type { AnyAuthMethod, Algorithms, AuthenticationType, Client } from 'ssh2';
import { abortable } from './abortable.ts';
import { handshakeError, isNotSSH } from './errors.ts';
import type { Progress } from './errors.ts';
import { hostKeyFromBuffer } from './host-keys.ts';
import type { Link } from './link.ts';
import type { PrivateKey } from './private-key.ts';
import type { HostKey, Hop } from './types.ts';

export interface HandshakeOptions {
  hop: Hop;
  key: PrivateKey;
  algorithms: Algorithms;
  /** Decides on the presented key, at the first key exchange and at every later one. */
  accepts: (key: HostKey) => boolean;
  /** Milliseconds between keepalive requests. */
  keepalive: number;
  signal: AbortSignal;
  /** Kept up to date for error messages. */
  progress: Progress;
}

/** After so many unanswered keepalive requests a connection counts as lost. */
const KEEPALIVE_MISSES = 3;

/** Bytes of the server's first words that are kept for messages. */
const HEARD = 256;

/**
 * SSH over an open stream, from the banner to the end of authentication. The stream stays the caller's to close.
 * @returns the link, or the host key that was not accepted.
 */
export async function handshake(stream: Duplex, options: HandshakeOptions): Promise<Link | { refused: HostKey }> {
  const { hop, progress, signal } = options;
  progress.phase = 'banner';
  progress.heard = '';
  const listen = (chunk: Buffer): void => {
    progress.heard = (progress.heard + chunk.toString('latin1', 0, HEARD)).slice(0, HEARD);
    if (progress.phase === 'banner' && !isNotSSH(progress.heard)) progress.phase = 'key exchange';
    if (progress.heard.length === HEARD) stream.off('data', listen);
  };
  stream.on('data', listen);
  let presented: HostKey | undefined;
  let refused: HostKey | undefined;
  const judge = (blob: Buffer): boolean => {
    presented = hostKeyFromBuffer(blob);
    const accepted = options.accepts(presented);
    if (!accepted) refused = presented;
    return accepted;
  };
  try {
    return await abortable<Link>(signal, (resolve, reject) => {
      const { client, ready } = start(stream, options, judge);
      const link = { hop, client, stream, failure: undefined as Error | undefined };
      // Stays for good: without a listener an error, such as a reset while idle, would end the process.
      client.on('error', (error) => (link.failure ??= error));
      client.on('handshake', () => (progress.phase = 'authentication'));
      ready.then(
        () => {
          progress.phase = 'ready';
          if (presented) resolve(Object.assign(link, { hostKey: presented }));
        },
        (error: unknown) => reject(handshakeError(link.failure ?? error, hop, progress)),
      );
    });
  } catch (error) {
    if (refused && !signal.aborted) return { refused };
    throw error;
  } finally {
    stream.off('data', listen);
  }
}

function start(stream: Duplex, options: HandshakeOptions, judge: (blob: Buffer) => boolean): { client: Client; ready: Promise<unknown> } {
  const { hop, key, progress } = options;
  const ssh = new NodeSSH();
  let tried = false;
  const ready = ssh.connect({
    sock: stream,
    username: hop.user,
    algorithms: options.algorithms,
    // ssh2 refuses only on exactly `false`, so this must not be async.
    hostVerifier: judge,
    // Just the key: the default would ask for `none` first.
    authHandler: (methods: AuthenticationType[] | null, partialSuccess: boolean | null, next: (method: AnyAuthMethod) => void) => {
      progress.methods = methods ?? [];
      progress.partialSuccess = partialSuccess === true;
      next(tried ? (false as unknown as AnyAuthMethod) : { type: 'publickey', username: hop.user, key });
      tried = true;
    },
    keepaliveInterval: options.keepalive,
    keepaliveCountMax: KEEPALIVE_MISSES,
    readyTimeout: 0, // the dialer has one for the whole hop
  });
  const client = ssh.connection;
  if (!client) throw new Error('node-ssh made no client', { cause: ready });
  return { client, ready };
}
