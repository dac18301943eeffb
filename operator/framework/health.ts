/** /healthz and /readyz for probes. */
import type http from 'node:http';
import { Endpoint, pathOf, reply } from './serving.ts';
import type { Logger } from './types.ts';

export interface HealthOptions {
  /** --health-addr: `host:port`, or `:port` for all addresses. Default :9440. */
  address?: string;
  log: Logger;
}

export class HealthServer {
  /** Why the manager is not ready; undefined when it is. RemoteOperator sets it. */
  notReady: () => string | undefined = () => 'starting';
  readonly #endpoint: Endpoint;

  constructor({ address = ':9440', log }: HealthOptions) {
    this.#endpoint = new Endpoint({ address, log, answer: (request, response) => this.#answer(request, response) });
  }

  /** Where it listens, `host:port`. */
  get address(): string {
    return this.#endpoint.address;
  }

  /** Rejects with an Error that names the address if it cannot be had. */
  start(): Promise<void> {
    return this.#endpoint.start();
  }

  stop(): Promise<void> {
    return this.#endpoint.stop();
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = pathOf(request);
    const obstacle = path === '/readyz' ? this.notReady() : undefined;
    if (path !== '/healthz' && path !== '/readyz') reply(response, 404, 'not found');
    else if (obstacle !== undefined) reply(response, 503, obstacle);
    else reply(response, 200, 'ok');
  }
}
