import type { KubernetesObject } from '../../apis/meta.ts';
import type { Client, Logger, ObjectName, Resource } from './types.ts';
import type { Metrics } from './metrics.ts';

/** What a connection to the API server is made with. PEM texts; `headers` holds Authorization. */
export interface Credentials {
  headers: Record<string, string>;
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
  servername?: string;
  rejectUnauthorized?: boolean;
}
export interface ServerAccess {
  /** Base URL, https or http, possibly with a path. */
  server: string;
  /** Called for every request; must be quick when nothing changed. */
  credentials(): Promise<Credentials>;
}
export interface ListOptions {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
}
export interface List<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[];
}
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
  /** Milliseconds for one request. Default 30,000. */
  timeout?: number;
}
export declare class ApiClient implements Client {
  constructor(options: ApiClientOptions);
  get<T extends KubernetesObject>(resource: Resource, name: ObjectName, signal?: AbortSignal): Promise<T>;
  create<T extends KubernetesObject>(resource: Resource, object: Partial<T>, signal?: AbortSignal): Promise<T>;
  patch<T extends KubernetesObject>(
    resource: Resource,
    name: ObjectName,
    body: object,
    options?: { subresource?: 'status'; signal?: AbortSignal },
  ): Promise<T>;
  delete(
    resource: Resource,
    name: ObjectName,
    preconditions?: { uid?: string; resourceVersion?: string },
    signal?: AbortSignal,
  ): Promise<void>;
  getPath<T>(path: string, signal?: AbortSignal): Promise<T>;
  listPage<T extends KubernetesObject>(
    resource: Resource,
    options: ListOptions & { limit: number; continue?: string | undefined },
    signal?: AbortSignal,
  ): Promise<List<T>>;
  watch<T extends KubernetesObject>(
    resource: Resource,
    options: ListOptions & { resourceVersion: string; timeoutSeconds: number },
    signal?: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>>;
  /** `sink` is called with every object that create and patch return. Informers register themselves. */
  onWritten(sink: (resource: Resource, object: KubernetesObject) => void): void;
  close(): void;
}
/** The first of `preferred` that the server serves of `group`. Throws an error for people if it serves none of them. */
export declare function servedVersion(
  client: Pick<ApiClient, 'getPath'>,
  group: string,
  preferred: readonly string[],
  signal?: AbortSignal,
): Promise<string>;
