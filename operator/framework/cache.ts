/** Objects of one collection by key and by index, and which of two versions of an object is the newer one. */
import { keyOf, type KubernetesObject } from '../../apis/meta.ts';
import type { Cache, ChangeHandler, Logger } from './types.ts';

export interface StoreOptions<T extends KubernetesObject> {
  log: Logger;
  indexers?: Record<string, (object: T) => string[]>;
  /** Freezes objects deeply, so that a test finds who changes them. */
  freeze?: boolean;
}

/** Every version of an object is reported once, whether a write or the watch brought it. */
export class ObjectStore<T extends KubernetesObject> implements Cache<T> {
  readonly #options: StoreOptions<T>;
  readonly #objects = new Map<string, T>();
  /** Index -> value -> keys. */
  readonly #indexes: Map<string, Map<string, Set<string>>>;
  readonly #handlers: ChangeHandler<T>[] = [];
  /** Last version that list, watch or bookmark brought of the collection; deletes up to it are known. */
  #seen: string | undefined;

  constructor(options: StoreOptions<T>) {
    this.#options = options;
    this.#indexes = new Map(Object.keys(options.indexers ?? {}).map((name) => [name, new Map<string, Set<string>>()]));
  }

  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(keyOf({ metadata: namespace === '' ? { name } : { namespace, name } }));
  }

  list(namespace?: string): T[] {
    const all = [...this.#objects.values()];
    return namespace === undefined ? all : all.filter((object) => object.metadata.namespace === namespace);
  }

  byIndex(index: string, value: string): T[] {
    const values = this.#indexes.get(index);
    if (values === undefined) throw new Error(`there is no index ${index}`);
    const keys = [...(values.get(value) ?? [])].sort();
    return keys.flatMap((key) => this.#objects.get(key) ?? []);
  }

  onChange(handler: ChangeHandler<T>): void {
    this.#handlers.push(handler);
    for (const object of this.list()) this.#call(handler, { type: 'added', object, old: undefined });
  }

  /**
   * Taken only before the watch came by: newer than everything seen of the collection, and than the cached version. What the watch has
   * gone past was either told by it already or is deleted.
   */
  absorb(object: T): void {
    const version = object.metadata.resourceVersion;
    const cached = this.#objects.get(keyOf(object));
    if (this.#seen === undefined || !isNewer(version, this.#seen)) return;
    if (cached !== undefined && !isNewer(version, cached.metadata.resourceVersion)) return;
    this.#put(object);
  }

  /** From the watch. An older version than a write brought is no news. */
  put(object: T): void {
    this.saw(object.metadata.resourceVersion);
    this.putListed(object);
  }

  /** From the watch. `object` is the last state, with the version of its deletion. */
  remove(object: T): void {
    this.saw(object.metadata.resourceVersion);
    const cached = this.#objects.get(keyOf(object));
    if (cached === undefined) return;
    // Made anew by a write of ours whose event is still to come.
    if (cached.metadata.uid !== object.metadata.uid && isNewer(cached.metadata.resourceVersion, object.metadata.resourceVersion)) return;
    this.#drop(cached, object);
  }

  /** One of a list that is not at its end. */
  putListed(object: T): void {
    if (!isOlderOrSame(object, this.#objects.get(keyOf(object)))) this.#put(object);
  }

  /** From a list as of `version`, complete with the keys `listed`: what is not in it is gone, unless a write brought it after that. */
  endList(listed: ReadonlySet<string>, version: string): void {
    for (const [key, cached] of this.#objects) {
      if (!listed.has(key) && !isNewer(cached.metadata.resourceVersion, version)) this.#drop(cached, cached);
    }
    this.#seen = version;
  }

  /** From a bookmark: everything up to `version` was told. */
  saw(version: string): void {
    if (this.#seen === undefined || isNewer(version, this.#seen)) this.#seen = version;
  }

  #put(object: T): void {
    const key = keyOf(object);
    // The API server adds them to every object; they are a third of its size and nobody reads them.
    delete (object.metadata as { managedFields?: unknown }).managedFields;
    if (this.#options.freeze === true) deepFreeze(object);
    const old = this.#objects.get(key);
    if (old !== undefined && old.metadata.uid !== object.metadata.uid) this.#drop(old, old);
    const replaced = this.#objects.get(key);
    if (replaced !== undefined) this.#unindex(key, replaced);
    this.#objects.set(key, object);
    this.#index(key, object);
    this.#notify({ type: replaced === undefined ? 'added' : 'updated', object, old: replaced });
  }

  #drop(cached: T, last: T): void {
    const key = keyOf(cached);
    this.#objects.delete(key);
    this.#unindex(key, cached);
    this.#notify({ type: 'deleted', object: last, old: cached });
  }

  #index(key: string, object: T): void {
    this.#eachValue(object, (values, value) => {
      const keys = values.get(value);
      if (keys === undefined) values.set(value, new Set([key]));
      else keys.add(key);
    });
  }

  #unindex(key: string, object: T): void {
    this.#eachValue(object, (values, value) => {
      const keys = values.get(value);
      keys?.delete(key);
      if (keys?.size === 0) values.delete(value);
    });
  }

  #eachValue(object: T, visit: (values: Map<string, Set<string>>, value: string) => void): void {
    for (const [name, indexer] of Object.entries(this.#options.indexers ?? {})) {
      const values = this.#indexes.get(name);
      if (values === undefined) continue;
      try {
        for (const value of indexer(object)) visit(values, value);
      } catch (error) {
        this.#options.log.error('an index function failed', { index: name, object: keyOf(object), error });
      }
    }
  }

  #notify(change: Parameters<ChangeHandler<T>>[0]): void {
    for (const handler of this.#handlers) this.#call(handler, change);
  }

  #call(handler: ChangeHandler<T>, change: Parameters<ChangeHandler<T>>[0]): void {
    try {
      handler(change);
    } catch (error) {
      this.#options.log.error('a handler of changes failed', { object: keyOf(change.object), change: change.type, error });
    }
  }
}

/**
 * Whether resource version `a` came after `b` in one collection. They are decimal numbers of any length (KEP-5504); of any others
 * nothing can be said.
 */
export function isNewer(a: string, b: string): boolean {
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return a.length === b.length ? a > b : a.length > b.length;
}

/** A version that cannot be compared counts as news, unless it is the same. */
const isOlderOrSame = (object: KubernetesObject, cached: KubernetesObject | undefined): boolean =>
  cached !== undefined &&
  (object.metadata.resourceVersion === cached.metadata.resourceVersion ||
    isNewer(cached.metadata.resourceVersion, object.metadata.resourceVersion));

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(deepFreeze);
}
