/**
 * Stands between the operator and the API server, and can answer in its place. Plain node:https: the proxies on npm are made for browsers,
 * and hide the connections that have to be cut here.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, createServer, request, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ControlPlaneAccess } from './control-plane.ts';

/**
 * What becomes of a request: an answer with that code, none until such requests are dropped, the API server's own that gets lost on its
 * way back, or undefined: the API server's own.
 */
export type Verdict = { code: number; reason: string } | 'no answer' | 'lost answer' | undefined;

export class ApiProxy {
  readonly #server: Server;
  readonly #url: URL;
  readonly #agent: Agent;
  readonly #watches = new Set<ServerResponse>();
  readonly #unanswered = new Set<ServerResponse>();
  /** Decides on every request but those of watches. */
  judge: (request: IncomingMessage) => Verdict = () => undefined;
  /** While it is set new watches are refused. */
  refusesWatches = false;
  /** false: as a server that does not know WatchList (KEP-3157), or was told not to offer it. */
  streamsLists = true;

  private constructor(server: Server, url: string, ca: string) {
    this.#server = server;
    this.#url = new URL(url);
    this.#agent = new Agent({ ca, keepAlive: true });
    server.on('request', (incoming, answer) => this.#handle(incoming, answer));
  }

  static async start(plane: ControlPlaneAccess): Promise<ApiProxy> {
    const folder = await plane.issueServingCertificate('api-proxy');
    const [cert, key] = await Promise.all(['tls.crt', 'tls.key'].map((name) => readFile(join(folder, name))));
    const server = createServer({ cert, key });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ApiProxy(server, plane.url, plane.ca);
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #handle(incoming: IncomingMessage, answer: ServerResponse): void {
    const isWatch = incoming.url?.includes('watch=') === true;
    const verdict = isWatch ? this.#onWatch(incoming, answer) : this.judge(incoming);
    if (verdict === undefined || verdict === 'lost answer') {
      this.#forward(incoming, answer, verdict === 'lost answer');
      return;
    }
    incoming.resume();
    if (verdict === 'no answer') {
      this.#unanswered.add(answer);
      answer.on('close', () => this.#unanswered.delete(answer));
      return;
    }
    const { code, reason } = verdict;
    const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: `${reason}, says the proxy` };
    answer.writeHead(code, { 'content-type': 'application/json', ...(code === 429 && { 'retry-after': '1' }) });
    answer.end(JSON.stringify(status));
  }

  #onWatch({ url = '' }: IncomingMessage, answer: ServerResponse): Verdict {
    if (this.refusesWatches) return { code: 503, reason: 'ServiceUnavailable' };
    if (!this.streamsLists && url.includes('sendInitialEvents=')) return { code: 422, reason: 'Invalid' };
    this.#watches.add(answer);
    answer.on('close', () => this.#watches.delete(answer));
    return undefined;
  }

  #forward(incoming: IncomingMessage, answer: ServerResponse, isLost: boolean): void {
    const { method, url: path, headers } = incoming;
    const { hostname, port, host } = this.#url;
    const onward = request({ hostname, port, method, path, headers: { ...headers, host }, agent: this.#agent }, (reply) => {
      if (isLost) {
        answer.destroy();
        return;
      }
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      // A watch is answered before it has anything to tell.
      answer.flushHeaders();
      reply.pipe(answer);
      reply.on('error', () => answer.destroy());
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    incoming.pipe(onward);
  }

  /** Ends every watch, as a load balancer does. */
  cutWatches(): void {
    for (const watch of this.#watches) watch.destroy();
  }

  /** Ends what waits for an answer, as a server does that hung and is started anew. */
  dropUnanswered(): void {
    for (const answer of this.#unanswered) answer.destroy();
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
    this.#agent.destroy();
  }
}
