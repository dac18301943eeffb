/* eslint-disable @typescript-eslint/no-unnecessary-type-parameters -- tests know what they put in */
/**
 * An API server for tests: Storage behind real HTTP, with lists and watches, bookmarks, discovery, and faults on demand.
 *
 *     const server = await FakeApiServer.start([machines, secrets]);
 *     const client = new ApiClient({ access: server.access(), version: 'test', log });
 *     server.fail({ method: 'PATCH', path: /status$/, status: 409 });
 *     await server.stop();
 */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { KubernetesObject } from '../../../apis/meta.ts';
import type { ServerAccess } from '../transport.ts';
import { ApiError, type ObjectName, type Resource } from '../types.ts';
import { discovery, parseTarget, type Target } from './routes.ts';
import { Storage, collectionOf } from './storage.ts';
import { Watch, listOf, statusOf } from './collections.ts';

/** Which requests go wrong, how, and how often (once, if not said). */
export interface Fault {
  method?: string;
  /** Matched against path and query. */
  path?: RegExp;
  times?: number;
  /** Answer with this status… */
  status?: number;
  reason?: string;
  /** Seconds for a Retry-After header. */
  retryAfter?: number;
  /** …or never answer, or cut the connection (before or after the request took effect)… */
  instead?: 'hang' | 'reset' | 'reset-after';
  /** …or carry it out once this resolves. */
  wait?: Promise<unknown>;
}

export interface SeenRequest {
  method: string;
  /** Path and query. */
  path: string;
  headers: http.IncomingHttpHeaders;
  body: unknown;
  /** Common name of the client certificate, if one was presented. */
  clientName?: string | undefined;
}

export interface ServerOptions {
  tls?: https.ServerOptions;
  /** Resources without the status subresource, by plural. */
  withoutStatus?: readonly string[];
}

export class FakeApiServer {
  readonly storage = new Storage();
  /** TCP connections that were made. */
  connections = 0;
  /** Everything that was asked, oldest first. */
  readonly requests: SeenRequest[] = [];
  readonly #server: http.Server;
  readonly #faults: Fault[] = [];
  readonly #watches = new Set<Watch>();
  readonly #waiting = new Set<{ matches: (request: SeenRequest) => boolean; resolve: (request: SeenRequest) => void }>();
  readonly #closed: (() => void)[] = [];
  readonly #scheme: string;
  #muted = false;
  #endsLists = true;

  private constructor(options: ServerOptions) {
    const answer = (request: http.IncomingMessage, response: http.ServerResponse): void => void this.#answer(request, response);
    this.#scheme = options.tls === undefined ? 'http' : 'https';
    this.#server = options.tls === undefined ? http.createServer(answer) : https.createServer(options.tls, answer);
    this.#server.on('connection', (socket) => {
      this.connections++;
      socket.on('close', () => this.#closed.forEach((resolve) => resolve()));
    });
  }

  /** Serves `resources`, all with the status subresource unless said otherwise, on a free port of the loopback. */
  static async start(resources: readonly Resource[], options: ServerOptions = {}): Promise<FakeApiServer> {
    const server = new FakeApiServer(options);
    for (const resource of resources) server.storage.define(resource, !(options.withoutStatus ?? []).includes(resource.plural));
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  access(): ServerAccess {
    return { server: this.url, credentials: () => Promise.resolve({ headers: { Authorization: 'Bearer test' } }) };
  }

  /** The next `times` requests that match go wrong. Of several faults that match the oldest counts. */
  fail(fault: Fault): void {
    this.#faults.push({ times: 1, ...fault });
  }

  /** Resolves with the next request that matches, once it was carried out, or arrived if a fault makes it wait or hang. */
  seen(method: string, path: RegExp): Promise<SeenRequest> {
    const { promise, resolve } = Promise.withResolvers<SeenRequest>();
    this.#waiting.add({ matches: (request) => request.method === method && path.test(request.path), resolve });
    return promise;
  }

  /** As a user would: creates an object, status included, past the HTTP side. */
  create<T extends KubernetesObject>(resource: Resource, object: object): T {
    const { status, metadata } = object as Partial<KubernetesObject>;
    const created = this.storage.create(collectionOf(resource), metadata?.namespace, object);
    if (status === undefined || created.status !== undefined) return created as T;
    return this.storage.update(collectionOf(resource), created.metadata, { status }, { merge: true, subresource: 'status' }) as T;
  }
  get<T extends KubernetesObject>(resource: Resource, name: ObjectName): T {
    return this.storage.get(collectionOf(resource), name) as T;
  }
  list<T extends KubernetesObject>(resource: Resource, namespace?: string): T[] {
    return this.storage.list(collectionOf(resource), namespace) as T[];
  }
  patch<T extends KubernetesObject>(resource: Resource, name: ObjectName, body: object, subresource?: 'status'): T {
    return this.storage.update(collectionOf(resource), name, body, { merge: true, subresource }) as T;
  }
  delete(resource: Resource, name: ObjectName): void {
    this.storage.delete(collectionOf(resource), name);
  }

  get watchCount(): number {
    return this.#watches.size;
  }
  /** Ends all watches: as their timeout does, by cutting the connection, or with an ERROR event of that status. */
  endWatches(how: 'end' | 'reset' | { status: number; reason: string }): void {
    for (const watch of this.#watches) watch.end(how);
  }
  /** Sends a bookmark on every watch that asked for them. */
  bookmark(annotations?: Record<string, string>): void {
    for (const watch of this.#watches) watch.bookmark(this.storage.revision, annotations);
  }
  /** Watches from now on send nothing and never end, as on a connection that died without a word. */
  muteWatches(): void {
    this.#muted = true;
  }
  /** Lists that are streamed do not come to their end any more. */
  holdBookmarks(): void {
    this.#endsLists = false;
  }
  /** Resolves when the next connection is closed. */
  connectionClosed(): Promise<void> {
    return new Promise((resolve) => this.#closed.push(resolve));
  }
  /** Resolves once no watch is open. */
  async watchesClosed(): Promise<void> {
    for (const watch of this.#watches) await watch.closed;
  }
  /** Forgets the history: watches from before get 410. */
  expire(): void {
    this.storage.compact();
  }

  /** Cuts idle kept-alive connections, as a load balancer would. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  async stop(): Promise<void> {
    this.endWatches('reset');
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const text = Buffer.concat(await request.toArray()).toString();
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      clientName: request.socket instanceof TLSSocket ? commonName(request.socket) : undefined,
    };
    this.requests.push(seen);
    const fault = this.#takeFault(seen);
    if (fault?.wait !== undefined) this.#tell(seen);
    try {
      await fault?.wait;
      if (fault?.instead === 'hang') return;
      if (fault?.instead === 'reset') return void request.socket.destroy();
      if (fault?.status !== undefined) {
        if (fault.retryAfter !== undefined) response.setHeader('Retry-After', String(fault.retryAfter));
        throw new ApiError(fault.status, fault.reason ?? '', 'injected fault');
      }
      const body = this.#handle(seen, response);
      if (fault?.instead === 'reset-after') return void request.socket.destroy();
      if (body !== undefined) send(response, seen.method === 'POST' ? 201 : 200, body);
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError(500, 'InternalError', String(error));
      send(response, failure.status, statusOf(failure));
    } finally {
      this.#tell(seen);
    }
  }

  #tell(request: SeenRequest): void {
    for (const waiter of this.#waiting) {
      if (!waiter.matches(request)) continue;
      this.#waiting.delete(waiter);
      waiter.resolve(request);
    }
  }

  #takeFault(request: SeenRequest): Fault | undefined {
    const index = this.#faults.findIndex(
      (fault) => (fault.method ?? request.method) === request.method && (fault.path?.test(request.path) ?? true),
    );
    const fault = this.#faults[index];
    if (fault === undefined) return undefined;
    fault.times = (fault.times ?? 1) - 1;
    if (fault.times <= 0) this.#faults.splice(index, 1);
    return fault;
  }

  /** The body of the answer, or undefined for a watch, which answers by itself. */
  #handle(request: SeenRequest, response: http.ServerResponse): object | undefined {
    const url = new URL(request.path, this.url);
    const target = parseTarget(url, this.storage.kinds());
    if (target === undefined) return discovery(url.pathname, this.storage.kinds());
    const name: ObjectName = { name: target.name ?? '', ...(target.namespace !== undefined && { namespace: target.namespace }) };
    switch (request.method) {
      case 'GET':
        if (target.name !== undefined) return this.storage.get(target.collection, name);
        if (url.searchParams.get('watch') !== 'true') return listOf(this.storage, target, url.searchParams);
        this.#watch(target, url.searchParams, response);
        return undefined;
      case 'POST':
        return this.storage.create(target.collection, target.namespace, request.body as Partial<KubernetesObject>);
      case 'PUT':
        return this.storage.update(target.collection, name, request.body as object, { merge: false, subresource: target.subresource });
      case 'PATCH':
        if (request.headers['content-type'] !== 'application/merge-patch+json') {
          throw new ApiError(415, 'UnsupportedMediaType', 'only application/merge-patch+json is understood');
        }
        return this.storage.update(target.collection, name, request.body as object, { merge: true, subresource: target.subresource });
      default:
        throw new ApiError(405, 'MethodNotAllowed', request.method);
    }
  }

  #watch(target: Target, query: URLSearchParams, response: http.ServerResponse): void {
    const watch = new Watch(this.storage, target, query, response);
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
    if (this.#muted && query.get('sendInitialEvents') !== 'true') response.flushHeaders();
    else watch.start(this.#endsLists);
  }
}

/** Without a client certificate there is no subject. */
function commonName(socket: TLSSocket): string | undefined {
  const { subject } = socket.getPeerCertificate() as { subject?: { CN: string | string[] } };
  return [subject?.CN ?? []].flat()[0];
}

function send(response: http.ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
