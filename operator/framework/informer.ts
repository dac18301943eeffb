import type { KubernetesObject } from '../../apis/meta.ts';
import type { ApiClient } from './client.ts';
import type { Cache, ChangeHandler, Logger, Resource } from './types.ts';

export interface InformerOptions<T extends KubernetesObject> {
  client: Pick<ApiClient, 'listPage' | 'watch' | 'onWritten'>;
  resource: Resource;
  log: Logger;
  /** Not set: all namespaces. */
  namespace?: string | undefined;
  /** Only objects with these labels (--watch-filter). */
  matchLabels?: Record<string, string> | undefined;
  indexers?: Record<string, (object: T) => string[]>;
  /** Freezes objects deeply, so that a test finds who changes them. */
  freeze?: boolean;
}
/** List and watch of one collection. */
export declare class Informer<T extends KubernetesObject> implements Cache<T> {
  constructor(options: InformerOptions<T>);
  readonly resource: Resource;
  /** Resolves once the first list is in the cache. */
  readonly synced: Promise<void>;
  /** Runs until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  get(namespace: string, name: string): T | undefined;
  list(namespace?: string): T[];
  byIndex(index: string, value: string): T[];
  absorb(object: T): void;
  onChange(handler: ChangeHandler<T>): void;
}
