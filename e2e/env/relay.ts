/** A TCP relay before a host's sshd, which can be slow and can be cut. Its address is the host's identity for the operator. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Host } from './hosts.ts';

export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #resetting = new WeakSet<Socket>();
  /** Milliseconds that every byte is on its way, in each direction. */
  delay = 0;
  /** After so many more bytes from the operator every connection is cut. */
  bytesLeft = Infinity;
  /** Connections that were open at a time, at most. */
  most = 0;

  private constructor(server: Server, host: Host) {
    this.#server = server;
    server.on('connection', (client) => this.#relay(client, connect({ host: host.address, port: host.port, noDelay: true })));
  }

  static async start(host: Host, address: string): Promise<Relay> {
    const server = createServer({ noDelay: true });
    server.listen(0, address);
    await once(server, 'listening');
    return new Relay(server, host);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get open(): number {
    return this.#sockets.size / 2;
  }

  #relay(client: Socket, host: Socket): void {
    for (const socket of [client, host]) this.#sockets.add(socket);
    this.most = Math.max(this.most, this.open);
    this.#pass(client, host, (bytes) => this.#count(bytes));
    this.#pass(host, client, () => undefined);
  }

  #pass(from: Socket, to: Socket, count: (bytes: number) => void): void {
    const later = (work: () => void): void => {
      if (this.delay > 0) setTimeout(work, this.delay);
      else work();
    };
    from.on('data', (chunk) => {
      count(chunk.length);
      later(() => {
        if (!to.destroyed) to.write(chunk);
      });
    });
    from.on('end', () => later(() => to.end()));
    from.on('error', () => this.#reset(to));
    from.on('close', () => {
      this.#sockets.delete(from);
      later(() => {
        if (!this.#resetting.has(to)) to.destroy();
      });
    });
  }

  /** Node.js never closes a socket that is destroyed while its reset is on its way, and a reset waits for what is to be written. */
  #reset(socket: Socket): void {
    if (this.#resetting.has(socket)) return;
    if (socket.connecting || socket.writableEnded || socket.writableLength > 0) {
      socket.destroy();
      return;
    }
    this.#resetting.add(socket);
    socket.resetAndDestroy();
  }

  #count(bytes: number): void {
    this.bytesLeft -= bytes;
    if (this.bytesLeft > 0) return;
    this.bytesLeft = Infinity;
    this.cut();
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) this.#reset(socket);
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}
