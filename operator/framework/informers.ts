/** One cache of a collection over some namespaces: each is listed and watched by itself, since who may not read all of them may not watch all. */
import { keyOf, type KubernetesObject } from '../../apis/meta.ts';
import { Informer, type InformerOptions } from './informer.ts';
import type { Cache, ChangeHandler, Resource } from './types.ts';

/** What a manager does with an informer. */
export interface RunningCache<T extends KubernetesObject> extends Cache<T> {
  resource: Resource;
  synced: Promise<void>;
  run(signal: AbortSignal): Promise<void>;
}

/** @param namespaces not set: all, in one watch. */
export function createInformer<T extends KubernetesObject>(
  options: Omit<InformerOptions<T>, 'namespace'>,
  namespaces?: readonly string[],
): RunningCache<T> {
  const informers = (namespaces ?? [undefined]).map((namespace) => new Informer<T>({ ...options, namespace }));
  const [only] = informers;
  return only !== undefined && informers.length === 1 ? only : new Informers(options.resource, informers);
}

class Informers<T extends KubernetesObject> implements RunningCache<T> {
  readonly resource: Resource;
  readonly synced: Promise<void>;
  readonly #informers: readonly Informer<T>[];

  constructor(resource: Resource, informers: readonly Informer<T>[]) {
    this.resource = resource;
    this.#informers = informers;
    this.synced = Promise.all(informers.map(({ synced }) => synced)).then(() => undefined);
  }

  get(namespace: string, name: string): T | undefined {
    return this.#first((informer) => informer.get(namespace, name));
  }
  list(namespace?: string): T[] {
    return this.#informers.flatMap((informer) => informer.list(namespace));
  }
  byIndex(index: string, value: string): T[] {
    const found = this.#informers.flatMap((informer) => informer.byIndex(index, value));
    return found.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }
  onChange(handler: ChangeHandler<T>): void {
    for (const informer of this.#informers) informer.onChange(handler);
  }
  /** Each takes what is of its namespace. */
  absorb(object: T): void {
    for (const informer of this.#informers) informer.absorb(object);
  }
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#informers.map((informer) => informer.run(signal)));
  }

  #first<R>(of: (informer: Informer<T>) => R | undefined): R | undefined {
    for (const informer of this.#informers) {
      const found = of(informer);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
