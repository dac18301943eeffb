import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Client } from 'ssh2';
import type { HostKey, Hop } from './types.ts';

/** One authenticated hop. */
export interface Link {
  hop: Hop;
  client: Client;
  /** The TCP socket, or the channel that the bastion before opened. */
  stream: Duplex;
  hostKey: HostKey;
  /** The first error since `ready`, for the message when the connection is lost. */
  failure: Error | undefined;
}

/** Milliseconds that a peer gets to take the goodbye before the socket is closed over it. */
const GOODBYE = 1000;

/** Closes at once everything that was opened, innermost first. Resolves when the socket is closed. */
export async function destroyStreams(streams: Duplex[]): Promise<void> {
  for (const stream of streams.toReversed()) stream.destroy();
  await Promise.all(streams.map(closed));
}

/** Says goodbye at each hop, innermost first, then closes the socket. Resolves when it is closed. */
export async function endLinks(links: Link[]): Promise<void> {
  for (const { client } of links.toReversed()) client.end();
  const streams = links.map((link) => link.stream);
  // Sends what is still to be sent, then closes, without waiting for the peer to close its side.
  for (const stream of streams) if (stream instanceof Socket) stream.destroySoon();
  const timer = setTimeout(() => void destroyStreams(streams), GOODBYE);
  await Promise.all(streams.map(closed));
  clearTimeout(timer);
}

/** Only sockets are waited for: a bastion's channels end with it. */
async function closed(stream: Duplex): Promise<void> {
  if (stream instanceof Socket && !stream.closed) await once(stream, 'close');
}
