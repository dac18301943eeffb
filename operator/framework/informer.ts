/** Keeps a cache of one collection by list and watch, whatever happens to server, network and handlers. */
import { keyOf, type KubernetesObject } from '../../apis/meta.ts';
import { ObjectStore } from './cache.ts';
import type { ApiClient, WatchEvent } from './client.ts';
import { ApiError, type Cache, type ChangeHandler, type Logger, type Resource } from './types.ts';

export interface InformerOptions<T extends KubernetesObject> {
  client: Pick<ApiClient, 'list' | 'initialEvents' | 'watch' | 'onWritten'>;
  resource: Resource;
  log: Logger;
  /** Not set: all namespaces. */
  namespace?: string | undefined;
  indexers?: Record<string, (object: T) => string[]>;
  /** Freezes objects deeply, so that a test finds who changes them. */
  freeze?: boolean;
  /** Milliseconds between attempts after failures, doubling from base to max, with jitter. Default 500 and 10,000. */
  retry?: { base: number; max: number };
  /** Told when list or watch failed for the third time in a row, and each time after it. */
  onFailing?: (error: unknown) => void;
  /** Shortest time of a watch in seconds; up to half as much is added by chance. Default 120: a dead connection is found within minutes. */
  watchSeconds?: number;
}

/** A watch that ended in less, without an event, counts as failed: a server that ends each at once must not be asked without a pause. */
const SHORT_WATCH = 1000;

/** Failures in a row that are more than a cut connection. */
const FAILING = 3;

export class Informer<T extends KubernetesObject> implements Cache<T> {
  readonly resource: Resource;
  /** Resolves once the first list is in the cache. Never rejects. */
  readonly synced: Promise<void>;
  readonly #options: InformerOptions<T>;
  readonly #store: ObjectStore<T>;
  readonly #log: Logger;
  readonly #setSynced: () => void;
  readonly #retry: { base: number; max: number };
  /** Where the next watch starts; undefined: a list is due. */
  #version: string | undefined;
  #failures = 0;
  /** Lists come one by one, as far as is known. */
  #streamed = true;
  /** Lists in a row whose version was too old for a watch at once. */
  #staleLists = 0;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.resource = options.resource;
    this.#log = options.log.child({ informer: options.resource.plural });
    this.#store = new ObjectStore({ ...options, log: this.#log });
    this.#retry = options.retry ?? { base: 500, max: 10_000 };
    ({ promise: this.synced, resolve: this.#setSynced } = Promise.withResolvers<void>());
    options.client.onWritten((resource, object) => {
      const { group, version, plural } = this.resource;
      if (resource.group === group && resource.version === version && resource.plural === plural) this.absorb(object as T);
    });
  }

  get(namespace: string, name: string): T | undefined {
    return this.#store.get(namespace, name);
  }
  list(namespace?: string): T[] {
    return this.#store.list(namespace);
  }
  byIndex(index: string, value: string): T[] {
    return this.#store.byIndex(index, value);
  }
  onChange(handler: ChangeHandler<T>): void {
    this.#store.onChange(handler);
  }
  absorb(object: T): void {
    if (this.#selects(object)) this.#store.absorb(structuredClone(object));
  }

  /** Lists and watches until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list(signal);
        else await this.#watch(this.#version, signal);
      } catch (error) {
        await this.#recover(error, signal);
      }
    }
  }

  /** As client-go: what a server does not stream for whatever reason is asked for in one piece, so that it gets on at all. */
  async #list(signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    if (this.#streamed) {
      try {
        await this.#fill(client.initialEvents<T>(this.resource, this.#selection(), signal));
        return;
      } catch (error) {
        if (!(error instanceof ApiError) || signal.aborted) throw error;
        if (error.status === 422) this.#streamed = false;
        this.#log.debug('a list is not streamed; asking for it in one piece', { error });
      }
    }
    await this.#fill(client.list<T>(this.resource, this.#selection(), signal));
  }

  async #fill(events: AsyncIterable<WatchEvent<T>>): Promise<void> {
    const listed = new Set<string>();
    let version = '';
    for await (const { type, object } of events) {
      if (type === 'ERROR') throw statusError(object);
      version = object.metadata.resourceVersion;
      if (type === 'BOOKMARK') continue;
      if (type === 'DELETED') {
        listed.delete(keyOf(object)); // it went while the list was made
        continue;
      }
      listed.add(keyOf(object));
      this.#store.putListed(object);
    }
    this.#store.endList(listed, version);
    this.#version = version;
    this.#failures = 0;
    this.#log.debug('listed', { objects: listed.size, resourceVersion: version });
    this.#setSynced();
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const start = performance.now();
    const shortest = this.#options.watchSeconds ?? 120;
    const timeoutSeconds = Math.ceil(shortest * (1 + Math.random() / 2));
    let events = 0;
    const options = { ...this.#selection(), resourceVersion, timeoutSeconds };
    for await (const event of this.#options.client.watch<T>(this.resource, options, signal)) {
      this.#take(event);
      this.#failures = 0;
      events++;
    }
    if (events === 0 && performance.now() - start < Math.min(SHORT_WATCH, shortest * 1000)) {
      throw new ApiError(0, 'ShortWatch', 'the API server ended the watch at once');
    }
    this.#failures = 0;
    this.#staleLists = 0;
  }

  #take({ type, object }: WatchEvent<T>): void {
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        this.#store.put(object);
        break;
      case 'DELETED':
        this.#store.remove(object);
        break;
      case 'BOOKMARK':
        this.#store.saw(object.metadata.resourceVersion);
        break;
      case 'ERROR':
        throw statusError(object);
    }
    this.#version = object.metadata.resourceVersion;
    this.#staleLists = 0;
  }

  /**
   * Decides where to go on and waits before it. A 410 is the answer of a server that is there again, whatever failed before it: the new
   * list waits for nothing, unless the last one was of no use either.
   */
  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const expired = error instanceof ApiError && (error.status === 410 || error.reason === 'Expired' || error.reason === 'Gone');
    const atOnce = expired && this.#staleLists === 0;
    if (expired) {
      this.#version = undefined;
      this.#staleLists++;
    }
    const fields = { error, from: this.#version ?? 'a new list' };
    // One cut connection is nothing to wake people for, nor is a version that became too old.
    const ordinary = atOnce || (this.#failures === 0 && error instanceof ApiError && error.status === 0);
    if (ordinary) this.#log.debug('list or watch broke off; going on', fields);
    else this.#log.warn('list or watch failed', { ...fields, failures: this.#failures + 1 });
    const full = atOnce ? 0 : Math.min(this.#retry.base * 2 ** Math.max(this.#failures, this.#staleLists), this.#retry.max);
    this.#failures++;
    if (this.#failures >= FAILING) this.#options.onFailing?.(error);
    const asked = error instanceof ApiError ? (error.retryAfter ?? 0) : 0;
    await pause(Math.max(asked, full * (0.5 + Math.random() / 2)), signal);
  }

  #selection(): { namespace?: string | undefined } {
    return { namespace: this.#options.namespace };
  }

  #selects({ metadata }: T): boolean {
    const { namespace } = this.#options;
    return namespace === undefined || metadata.namespace === namespace;
  }
}

function statusError(status: unknown): ApiError {
  const { code = 0, reason = 'Unknown', message = 'the watch failed' } = status as { code?: number; reason?: string; message?: string };
  return new ApiError(code, reason, message);
}

/** Ends early when aborted. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  const timer = setTimeout(end, milliseconds);
  signal.addEventListener('abort', end, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', end);
}
