/** What any operator needs, as contracts: the client, caches, queues and controllers that controllers/ is written against. */
import { isNativeError } from 'node:util/types';
import type { KubernetesObject } from '../../apis/meta.ts';

/** A kind as the API server names it in paths. */
export interface Resource {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
}

/** The API server's answer to a request that failed (meta/v1 Status), or status 0 where there was no answer. */
export class ApiError extends Error {
  readonly status: number;
  /** Status.reason: NotFound, Conflict, AlreadyExists, Forbidden, Invalid… */
  readonly reason: string;
  /** Milliseconds from Retry-After, if the server said so. */
  readonly retryAfter: number | undefined;
  constructor(status: number, reason: string, message: string, retryAfter?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}
export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.status === 404;
/** The object changed since it was read, or was created anew under its name: read again. */
export const isConflict = (error: unknown): boolean =>
  error instanceof ApiError && error.status === 409 && error.reason !== 'AlreadyExists';
export const isAlreadyExists = (error: unknown): boolean => error instanceof ApiError && error.reason === 'AlreadyExists';

/** Also of errors that another realm made, as Node's own are within Jest, where instanceof says no. */
// eslint-disable-next-line @typescript-eslint/no-deprecated -- Error.isError is not in TypeScript's es2024 library
export const isError = (value: unknown): value is Error => isNativeError(value);
/** What a thrown value says. */
export const messageOf = (error: unknown): string => (isError(error) ? error.message : String(error));

export interface ObjectName {
  namespace?: string;
  name: string;
}

/**
 * Requests are made as they are called: no hidden discovery. Every failure is an ApiError, an aborted one rejects with the signal's reason.
 * Repeated are only answers with Retry-After (429, 503), a bounded number of times, and, for GET, once, a request on a kept-alive
 * connection that turned out to be dead.
 */
export interface Client {
  /** The API server's time, which deletion timestamps are by; this computer's clock may be wrong. */
  now(): Date;
  get<T extends KubernetesObject>(resource: Resource, name: ObjectName, signal?: AbortSignal): Promise<T>;
  create<T extends KubernetesObject>(resource: Resource, object: Partial<T>, signal?: AbortSignal): Promise<T>;
  /**
   * JSON merge patch (RFC 7386). A `resourceVersion` in body.metadata makes it guarded: 409 if the object changed since.
   * Every object that comes back is handed to the caches (see Cache.absorb).
   */
  patch<T extends KubernetesObject>(
    resource: Resource,
    name: ObjectName,
    body: object,
    options?: { subresource?: 'status'; signal?: AbortSignal },
  ): Promise<T>;
}

/** Read side of an informer. Objects are shared (and frozen in tests): change a copy. */
export interface Cache<T extends KubernetesObject> {
  get(namespace: string, name: string): T | undefined;
  list(namespace?: string): T[];
  /** Objects whose index function gave `value`, in order of key (namespace/name). */
  byIndex(index: string, value: string): T[];
  /** Calls `handler` for every change from now on, and at once (as `added`) for every object that is there. */
  onChange(handler: ChangeHandler<T>): void;
  /** Takes an object that a write returned, unless the watch has already gone past it: a reconcile never sees a state older than its own last write. */
  absorb(object: T): void;
}

export type ChangeHandler<T> = (change: { type: 'added' | 'updated' | 'deleted'; object: T; old: T | undefined }) => void;

/** Namespaced key of the object to reconcile; nothing else is passed, so that ten changes are one reconcile. */
export interface Request {
  namespace: string;
  name: string;
}

export interface Result {
  /** Milliseconds after which to reconcile again. */
  requeueAfter?: number;
}

/**
 * Brings one object to its desired state. Level-triggered: it reads the caches, not the event. It may be called at any time,
 * twice, or after a crash at any line. At most one call for a key runs at once. A throw is logged and retried with backoff.
 */
export interface Reconciler {
  reconcile(request: Request, context: ReconcileContext): Promise<Result | void>;
}

export interface ReconcileContext {
  log: Logger;
  /** Aborted when the manager stops. */
  signal: AbortSignal;
}

/** Adds keys to a controller's queue. */
export interface Enqueue {
  add(request: Request): void;
  addAfter(request: Request, milliseconds: number): void;
}

export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
  child(fields: Record<string, unknown>): Logger;
}

/** Events (events.k8s.io/v1): repeated ones become a series; a failure to write one is logged and never fails a reconcile. */
export interface EventRecorder {
  event(object: KubernetesObject, type: 'Normal' | 'Warning', reason: string, action: string, note: string): void;
}
