/** An HTTP or HTTPS server on an address that a flag names. */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { messageOf, type Logger } from './types.ts';

export interface EndpointOptions {
  /** `host:port`, or `:port` for all addresses. */
  address: string;
  /** Not set: plain HTTP. */
  tls?: { cert: string; key: string };
  answer: (request: http.IncomingMessage, response: http.ServerResponse) => Promise<void> | void;
  log: Logger;
}

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #server: http.Server | https.Server;

  constructor(options: EndpointOptions) {
    this.#options = options;
    const listener: http.RequestListener = (request, response) => void this.#answer(request, response);
    this.#server = options.tls === undefined ? http.createServer(listener) : https.createServer(options.tls, listener);
  }

  /** Where it listens, `host:port`. */
  get address(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
  }

  /** Rejects with an Error that names the address if it cannot be had. */
  async start(): Promise<void> {
    const { address } = this.#options;
    try {
      this.#server.listen(parseAddress(address));
      await once(this.#server, 'listening');
    } catch (cause) {
      throw new Error(`cannot listen on ${address}: ${messageOf(cause)}`, { cause });
    }
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closing = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closing;
  }

  /** For connections from now on. Throws if the two don't go together. */
  setCertificate(tls: { cert: string; key: string }): void {
    if (this.#server instanceof https.Server) this.#server.setSecureContext(tls);
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      await this.#options.answer(request, response);
    } catch (error) {
      this.#options.log.error('a request for health or diagnostics failed', { path: pathOf(request), error });
      reply(response, 500, 'internal error');
    }
  }
}

export const pathOf = (request: http.IncomingMessage): string => (request.url ?? '').replace(/\?.*/, '');

export function reply(response: http.ServerResponse, status: number, body: string, headers: http.OutgoingHttpHeaders = {}): void {
  if (!response.headersSent) response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers });
  response.end(body);
}

/** `:9440`, `127.0.0.1:9440`, `localhost:9440` or `[::1]:9440`. */
export function parseAddress(address: string): { host?: string; port: number } {
  const [, bracketed, name, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535) throw new Error(`${JSON.stringify(address)} is not an address of the form host:port`);
  const host = bracketed ?? name;
  return host ? { host, port } : { port };
}
