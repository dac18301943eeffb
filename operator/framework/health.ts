/** /healthz and /readyz for probes, and, on an address of its own, /metrics. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { messageOf, type Logger } from './types.ts';

export interface HealthOptions {
  /** --health-addr: `host:port`, or `:port` for all addresses. Default :9440. */
  address?: string;
  diagnostics?: DiagnosticsOptions;
  log: Logger;
}

export interface DiagnosticsOptions {
  /** --diagnostics-address; plain HTTP, so only with --insecure-diagnostics. */
  address: string;
  registry: Registry;
}

export class HealthServer {
  /** Why the manager is not ready; undefined when it is. RemoteOperator sets it. */
  notReady: () => string | undefined = () => 'starting';
  readonly #options: HealthOptions;
  readonly #servers: http.Server[] = [];

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Where it listens, `host:port`, in the order health, diagnostics. */
  get addresses(): string[] {
    return this.#servers.map((server) => {
      const { address, family, port } = server.address() as AddressInfo;
      return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
    });
  }

  /** Rejects with an Error that names the address if it cannot be had. */
  async start(): Promise<void> {
    const { address = ':9440', diagnostics } = this.#options;
    try {
      await this.#listen(address, (request, response) => this.#health(request, response));
      if (diagnostics !== undefined) {
        await this.#listen(diagnostics.address, (request, response) => this.#diagnose(diagnostics, request, response));
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const closed = this.#servers.splice(0).map(async (server) => {
      const closing = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closing;
    });
    await Promise.all(closed);
  }

  async #listen(
    address: string,
    answer: (request: http.IncomingMessage, response: http.ServerResponse) => Promise<void> | void,
  ): Promise<void> {
    const server = http.createServer((request, response) => {
      Promise.resolve(answer(request, response)).catch((error: unknown) => {
        this.#options.log.error('a request for health or metrics failed', { path: request.url, error });
        reply(response, 500, 'internal error');
      });
    });
    try {
      server.listen(parseAddress(address));
      await once(server, 'listening');
    } catch (cause) {
      throw new Error(`cannot listen on ${address}: ${messageOf(cause)}`, { cause });
    }
    this.#servers.push(server);
  }

  #health(request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = pathOf(request);
    const obstacle = path === '/readyz' ? this.notReady() : undefined;
    if (path !== '/healthz' && path !== '/readyz') reply(response, 404, 'not found');
    else if (obstacle !== undefined) reply(response, 503, obstacle);
    else reply(response, 200, 'ok');
  }

  async #diagnose({ registry }: DiagnosticsOptions, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (pathOf(request) !== '/metrics') reply(response, 404, 'not found');
    else reply(response, 200, await registry.metrics(), registry.contentType);
  }
}

const pathOf = (request: http.IncomingMessage): string => (request.url ?? '').replace(/\?.*/, '');

function reply(response: http.ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  if (!response.headersSent) response.writeHead(status, { 'Content-Type': type });
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
