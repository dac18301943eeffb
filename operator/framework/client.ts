/** The Kubernetes API as this operator uses it: get, create, merge patch, and list and watch for the informers. */
import type http from 'node:http';
import { setTimeout } from 'node:timers/promises';
import type { KubernetesObject } from '../../apis/meta.ts';
import { type ApiAction, failpoint } from './failpoint.ts';
import type { Verb } from '../../apis/rights.ts';
import { withoutManagedFields } from './managed-fields.ts';
import { ServerClock } from './server-clock.ts';
import { Transport, readBody, readLines, type ServerAccess } from './transport.ts';
import type { Metrics } from './metrics.ts';
import { ApiError, type Client, type Logger, type ObjectName, type Resource } from './types.ts';

export interface ListOptions {
  /** Not set: all namespaces. */
  namespace?: string | undefined;
}

interface List<T> {
  metadata: { resourceVersion: string };
  items: T[];
}

/** An ERROR's object is a Status; a BOOKMARK's has nothing but metadata.resourceVersion. */
export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

export interface ApiClientOptions {
  access: ServerAccess;
  /** Of the manager, for the User-Agent. */
  version: string;
  log: Logger;
  metrics?: Pick<Metrics, 'clientRequest'>;
  /** Whether it may be asked for; what is not declared is refused here, as the server would refuse it. Not set: everything. */
  isDeclared?: (verb: Verb, resource: Resource, subresource?: string) => boolean;
  /** Milliseconds for a request and for each pause within its answer. Default 30,000. */
  timeout?: number;
}

/** How often and how long in all a request waits for Retry-After before the caller hears of it. */
const MAX_RETRIES = 5;
const MAX_WAIT = 30_000;

interface Call {
  method: 'GET' | 'POST' | 'PATCH';
  path: string;
  body?: object;
  contentType?: string;
  signal?: AbortSignal | undefined;
}

type Sink = (resource: Resource, object: KubernetesObject) => void;

export class ApiClient implements Client {
  readonly #transport: Transport;
  readonly #options: ApiClientOptions;
  readonly #headers: Record<string, string>;
  readonly #timeout: number;
  readonly #sinks: Sink[] = [];
  readonly #clock = new ServerClock();

  constructor(options: ApiClientOptions) {
    this.#options = options;
    this.#transport = new Transport(options.access);
    this.#timeout = options.timeout ?? 30_000;
    const agent = `cluster-api-provider-remote/${options.version} (${process.platform}/${process.arch}) node/${process.versions.node}`;
    this.#headers = { Accept: 'application/json', 'User-Agent': agent };
  }

  now(): Date {
    return this.#clock.now();
  }

  get<T extends KubernetesObject>(resource: Resource, name: ObjectName, signal?: AbortSignal): Promise<T> {
    return this.#step<T>('get', resource, { method: 'GET', path: pathOf(resource, name), signal });
  }

  async create<T extends KubernetesObject>(resource: Resource, object: Partial<T>, signal?: AbortSignal): Promise<T> {
    const path = pathOf(resource, { namespace: object.metadata?.namespace });
    const body = { apiVersion: groupVersion(resource), kind: resource.kind, ...object };
    return this.#written(resource, await this.#step<T>('create', resource, { method: 'POST', path, body, signal }));
  }

  async patch<T extends KubernetesObject>(
    resource: Resource,
    name: ObjectName,
    body: object,
    { subresource, signal }: { subresource?: 'status'; signal?: AbortSignal } = {},
  ): Promise<T> {
    const path = pathOf(resource, name) + (subresource === undefined ? '' : `/${subresource}`);
    const call: Call = { method: 'PATCH', path, body, contentType: 'application/merge-patch+json', signal };
    return this.#written(resource, await this.#step<T>('patch', resource, call, subresource));
  }

  /** Any other JSON that the server has, such as discovery documents. */
  getPath<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#call<T>({ method: 'GET', path, signal });
  }

  /** Everything in a collection, in one piece, which the server has in its cache; by pages it would come from etcd, at ten times the work. */
  async *list<T extends KubernetesObject>(resource: Resource, options: ListOptions, signal?: AbortSignal): AsyncGenerator<WatchEvent<T>> {
    this.#require('list', resource);
    const list = await this.#call<List<T>>({ method: 'GET', path: pathOf(resource, options), signal });
    // Items of a list come without them.
    const type = { apiVersion: groupVersion(resource), kind: resource.kind };
    for (const item of list.items) yield { type: 'ADDED', object: Object.assign(item, type) };
    yield { type: 'BOOKMARK', object: { ...type, metadata: list.metadata } as unknown as T };
  }

  /**
   * The same one by one, as client-go's WatchList (KEP-3157): it is taken while it comes, and never there as a whole. ApiError 422 where
   * the server does not do so, and 504 where its cache does not get up to date in time.
   */
  async *initialEvents<T extends KubernetesObject>(
    resource: Resource,
    options: ListOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>> {
    const query = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
    for await (const event of this.#events<T>(resource, { ...options, ...query }, this.#timeout, signal)) {
      yield event;
      if (event.type === 'BOOKMARK' && event.object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true') return;
    }
    throw new ApiError(0, 'ShortList', `GET ${pathOf(resource, options)}: the API server ended the list before its end`);
  }

  /**
   * Events after `resourceVersion`, as they come. Ends when the server ends the watch, usually after timeoutSeconds; throws an ApiError
   * when the connection breaks or is silent for longer than that, and the signal's reason when aborted.
   */
  async *watch<T extends KubernetesObject>(
    resource: Resource,
    options: ListOptions & { resourceVersion: string; timeoutSeconds: number },
    signal?: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>> {
    yield* this.#events<T>(resource, { ...options }, options.timeoutSeconds * 1000 + this.#timeout, signal);
  }

  /** @param silence milliseconds without a byte after which the connection counts as dead */
  async *#events<T>(
    resource: Resource,
    { namespace, ...query }: ListOptions & Query,
    silence: number,
    signal?: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>> {
    this.#require('watch', resource);
    const path = pathOf(resource, { namespace }) + queryOf({ watch: true, allowWatchBookmarks: true, ...query });
    const { response, where } = await this.#send({ method: 'GET', path, signal });
    try {
      for await (const line of readLines(response, where, silence)) yield parse<WatchEvent<T>>(line, where);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  /** `sink` is called with every object that create and patch return. Informers register themselves. */
  onWritten(sink: Sink): void {
    this.#sinks.push(sink);
  }

  /** Closes idle connections. */
  close(): void {
    this.#transport.close();
  }

  #require(verb: Verb, resource: Resource, subresource?: string): void {
    if (this.#options.isDeclared?.(verb, resource, subresource) ?? true) return;
    const what = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
    throw new Error(`the right to ${verb} ${what}.${resource.group} is not declared: this is a bug`);
  }

  #written<T extends KubernetesObject>(resource: Resource, object: T): T {
    for (const sink of this.#sinks) sink(resource, object);
    return object;
  }

  /** What others see, or what a secret comes by: every one of these passes here. */
  async #step<T>(action: ApiAction, resource: Resource, call: Call, subresource?: string): Promise<T> {
    this.#require(action, resource, subresource);
    failpoint('before', action, resource, subresource);
    try {
      return await this.#call<T>(call);
    } finally {
      failpoint('after', action, resource, subresource);
    }
  }

  async #call<T>(call: Call): Promise<T> {
    const { response, where } = await this.#send(call);
    return parse<T>(await this.#body(response, where, call.signal), where);
  }

  /** The answer to a request that succeeded. The one place that waits for Retry-After. */
  async #send(call: Call): Promise<{ response: http.IncomingMessage; where: string }> {
    const where = `${call.method} ${call.path.replace(/\?.*/, '')}`;
    const deadline = performance.now() + MAX_WAIT;
    for (let retries = 0; ; retries++) {
      const response = await this.#exchange(call);
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return { response, where };
      const error = failure(where, status, response.headers['retry-after'], await this.#body(response, where, call.signal));
      const wait = error.retryAfter;
      if (wait === undefined || retries >= MAX_RETRIES || performance.now() + wait > deadline) throw error;
      this.#options.log.debug('the API server asks to wait', { request: where, status, milliseconds: wait });
      await sleep(wait, call.signal);
    }
  }

  async #exchange({ method, path, body, contentType, signal }: Call): Promise<http.IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const content = text !== undefined && {
      'Content-Type': contentType ?? 'application/json',
      'Content-Length': String(Buffer.byteLength(text)),
    };
    const headers = { ...this.#headers, ...content };
    const asked = this.#clock.ticks;
    try {
      const response = await this.#transport.send({ method, path, headers, body: text, timeout: this.#timeout, signal });
      this.#options.metrics?.clientRequest(method, response.statusCode ?? 0);
      this.#clock.read(response.headers.date, asked);
      return response;
    } catch (error) {
      if (signal?.aborted !== true) this.#options.metrics?.clientRequest(method, '<error>');
      throw error;
    }
  }

  async #body(response: http.IncomingMessage, where: string, signal: AbortSignal | undefined): Promise<string> {
    try {
      return await readBody(response, where, this.#timeout);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }
}

const groupVersion = ({ group, version }: Resource): string => (group === '' ? version : `${group}/${version}`);

/** Of the collection, or of the object if there is a name. */
function pathOf(resource: Resource, { namespace, name }: { namespace?: string | undefined; name?: string }): string {
  const scope = resource.namespaced && namespace !== undefined ? ['namespaces', namespace] : [];
  if (resource.namespaced && name !== undefined && scope.length === 0)
    throw new Error(`${resource.kind} ${name}: its namespace is missing`);
  if (name === '') throw new Error(`${resource.kind}: the name is empty`);
  const path = [...scope, resource.plural, ...(name === undefined ? [] : [name])].map(encodeURIComponent);
  return `/${resource.group === '' ? 'api' : 'apis'}/${groupVersion(resource)}/${path.join('/')}`;
}

type Query = Record<string, string | number | boolean | undefined>;

function queryOf(parameters: Query): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  return `?${new URLSearchParams(Object.fromEntries(given.map(([key, value]) => [key, String(value)]))).toString()}`;
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- an answer is what the caller asked for
function parse<T>(text: string, where: string): T {
  try {
    return JSON.parse(withoutManagedFields(text)) as T;
  } catch (cause) {
    throw new ApiError(0, 'InvalidAnswer', `${where}: the answer is not JSON`, undefined, cause);
  }
}

/** From a meta/v1 Status, or from whatever a proxy in between said. */
function failure(where: string, status: number, retryAfter: string | undefined, body: string): ApiError {
  let answer: { reason?: string; message?: string } = {};
  try {
    answer = (JSON.parse(body) as typeof answer | null) ?? {};
  } catch {
    answer = { message: body.trim().slice(0, 200) };
  }
  const message = `${where}: ${status}: ${answer.message || answer.reason || 'no message'}`;
  const asked = status === 429 || status === 503 ? milliseconds(retryAfter) : undefined;
  return new ApiError(status, answer.reason || `HTTP${status}`, message, asked);
}

/** Retry-After is in seconds; the other form, a date, is not used by API servers. */
const milliseconds = (seconds: string | undefined): number | undefined =>
  seconds !== undefined && /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1000 : undefined;

/** Leaves nothing on the signal, which may be that of the whole process. */
async function sleep(wait: number, signal: AbortSignal | undefined): Promise<void> {
  await setTimeout(wait, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

/** The first of `preferred` that the server serves of `group`. Throws an Error for people if it serves none of them. */
export async function servedVersion(
  client: Pick<ApiClient, 'getPath'>,
  group: string,
  preferred: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  const { versions } = await client.getPath<{ versions: { version: string }[] }>(`/apis/${group}`, signal).catch((error: unknown) => {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    throw new Error(`the API server does not know the API group ${group}: are its CustomResourceDefinitions installed?`, { cause: error });
  });
  const served = versions.map(({ version }) => version);
  const found = preferred.find((version) => served.includes(version));
  if (found === undefined) {
    throw new Error(`of the API group ${group} the API server serves ${served.join(', ')}, but one of ${preferred.join(', ')} is needed`);
  }
  return found;
}
