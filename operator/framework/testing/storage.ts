/**
 * What an API server keeps and the rules it keeps it by, in memory: one counter of revisions, optimistic concurrency, merge patch,
 * the status subresource, generations, finalizers, snapshots for paged lists and a history for watches. No schema, no admission.
 */
import { randomUUID } from 'node:crypto';
import type { KubernetesObject, ObjectMeta } from '../../../apis/meta.ts';
import { ApiError, type ObjectName, type Resource } from '../types.ts';

export interface StoredEvent {
  revision: number;
  collection: string;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubernetesObject;
  /** What the object was before, for watches with a selector. */
  old: KubernetesObject | undefined;
}

export interface Kind {
  resource: Resource;
  /** Whether it has the status subresource. */
  status: boolean;
}

export const collectionOf = (resource: Pick<Resource, 'group' | 'version' | 'plural'>): string =>
  `${resource.group}/${resource.version}/${resource.plural}`;
const keyOf = ({ namespace, name }: ObjectName): string => `${namespace ?? ''}/${name}`;

export class Storage {
  #revision = 1000;
  /** Watches from before this revision are expired. */
  #compacted = 0;
  readonly #collections = new Map<string, { kind: Kind; objects: Map<string, KubernetesObject> }>();
  readonly #history: StoredEvent[] = [];
  readonly #listeners = new Set<(event: StoredEvent) => void>();

  get revision(): number {
    return this.#revision;
  }

  define(resource: Resource, status: boolean): void {
    this.#collections.set(collectionOf(resource), { kind: { resource, status }, objects: new Map() });
  }

  kinds(): Kind[] {
    return [...this.#collections.values()].map(({ kind }) => kind);
  }

  list(collection: string, namespace?: string): KubernetesObject[] {
    const objects = [...this.#collection(collection).objects.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
    return objects.map(([, object]) => object).filter((object) => namespace === undefined || object.metadata.namespace === namespace);
  }

  get(collection: string, name: ObjectName): KubernetesObject {
    const object = this.#collection(collection).objects.get(keyOf(name));
    if (object === undefined) throw new ApiError(404, 'NotFound', `${collection.split('/')[2] ?? ''} "${name.name}" not found`);
    return object;
  }

  create(collection: string, namespace: string | undefined, body: Partial<KubernetesObject>): KubernetesObject {
    const { kind, objects } = this.#collection(collection);
    const { generateName, ...given } = { ...(body.metadata as Partial<ObjectMeta> & { generateName?: string }) };
    const name = given.name ?? (generateName === undefined ? undefined : generateName + randomUUID().slice(0, 5));
    if (name === undefined || name === '')
      throw new ApiError(422, 'Invalid', 'metadata.name: Required value: name or generateName is required');
    if (given.namespace !== undefined && given.namespace !== namespace) {
      throw new ApiError(400, 'BadRequest', 'the namespace of the provided object does not match the namespace sent on the request');
    }
    if (given.resourceVersion) throw new ApiError(400, 'BadRequest', 'resourceVersion should not be set on objects to be created');
    if (objects.has(keyOf({ name, ...(namespace !== undefined && { namespace }) }))) {
      throw new ApiError(409, 'AlreadyExists', `${kind.resource.plural} "${name}" already exists`);
    }
    const metadata = structuredClone(given);
    delete metadata.deletionTimestamp;
    const object: KubernetesObject = {
      ...structuredClone(body),
      apiVersion: apiVersionOf(kind.resource),
      kind: kind.resource.kind,
      metadata: {
        ...metadata,
        name,
        ...(namespace !== undefined && { namespace }),
        uid: randomUUID(),
        resourceVersion: '',
        generation: 1,
        creationTimestamp: now(),
      },
    };
    if (kind.status) delete object.status;
    return this.#commit(collection, 'ADDED', object, undefined);
  }

  /** `body` is the whole object (PUT) or, with `merge`, a merge patch. */
  update(
    collection: string,
    name: ObjectName,
    body: object,
    options: { merge: boolean; subresource?: string | undefined },
  ): KubernetesObject {
    const { kind } = this.#collection(collection);
    if (options.subresource !== undefined && !(options.subresource === 'status' && kind.status)) {
      throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    }
    const old = this.get(collection, name);
    const wanted = (options.merge ? applyMergePatch(old, body) : structuredClone(body)) as KubernetesObject;
    checkPreconditions(old, wanted.metadata, name);
    const next = options.subresource === 'status' ? withStatus(old, wanted.status) : this.#withoutStatus(kind, old, wanted);
    Object.assign(next, { apiVersion: old.apiVersion, kind: old.kind });
    const { uid, creationTimestamp, deletionTimestamp, resourceVersion, generation } = old.metadata;
    Object.assign(next.metadata, { name: old.metadata.name, uid, creationTimestamp, resourceVersion, generation });
    if (deletionTimestamp === undefined) delete next.metadata.deletionTimestamp;
    else next.metadata.deletionTimestamp = deletionTimestamp;
    checkFinalizers(old, next);
    if (deepEqual(old, next)) return old;
    const content = (object: KubernetesObject) => ({ ...object, metadata: undefined, ...(kind.status && { status: undefined }) });
    if (!deepEqual(content(old), content(next))) next.metadata.generation = (generation ?? 0) + 1;
    const gone = deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0;
    return this.#commit(collection, gone ? 'DELETED' : 'MODIFIED', next, old);
  }

  delete(collection: string, name: ObjectName): KubernetesObject {
    const old = this.get(collection, name);
    if ((old.metadata.finalizers ?? []).length === 0) return this.#commit(collection, 'DELETED', structuredClone(old), old);
    if (old.metadata.deletionTimestamp !== undefined) return old;
    const next = structuredClone(old);
    next.metadata.deletionTimestamp = now();
    next.metadata.generation = (next.metadata.generation ?? 0) + 1;
    return this.#commit(collection, 'MODIFIED', next, old);
  }

  /** Events after `revision`, oldest first; throws Expired if they are no longer known. */
  since(collection: string, revision: number): StoredEvent[] {
    if (revision < this.#compacted) {
      throw new ApiError(410, 'Expired', `too old resource version: ${revision} (${this.#compacted})`);
    }
    return this.#history.filter((event) => event.collection === collection && event.revision > revision);
  }

  /** Forgets the history up to now, as etcd's compaction does. */
  compact(): void {
    this.#revision += 1;
    this.#compacted = this.#revision;
    this.#history.length = 0;
  }

  listen(listener: (event: StoredEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #collection(collection: string): { kind: Kind; objects: Map<string, KubernetesObject> } {
    const found = this.#collections.get(collection);
    if (found === undefined) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    return found;
  }

  #withoutStatus(kind: Kind, old: KubernetesObject, wanted: KubernetesObject): KubernetesObject {
    return kind.status ? withStatus(wanted, old.status) : wanted;
  }

  #commit(collection: string, type: StoredEvent['type'], object: KubernetesObject, old: KubernetesObject | undefined): KubernetesObject {
    this.#revision += 1;
    object.metadata.resourceVersion = String(this.#revision);
    const { objects } = this.#collection(collection);
    if (type === 'DELETED') objects.delete(keyOf(object.metadata));
    else objects.set(keyOf(object.metadata), object);
    const event = { revision: this.#revision, collection, type, object, old };
    this.#history.push(event);
    for (const listener of this.#listeners) listener(event);
    return object;
  }
}

const now = (): string => `${new Date().toISOString().slice(0, 19)}Z`;
export const apiVersionOf = ({ group, version }: Resource): string => (group === '' ? version : `${group}/${version}`);

function withStatus(object: KubernetesObject, status: unknown): KubernetesObject {
  const copy = structuredClone(object);
  delete copy.status;
  return status === undefined ? copy : { ...copy, status: structuredClone(status) };
}

function checkPreconditions(old: KubernetesObject, wanted: Partial<KubernetesObject['metadata']>, { name }: ObjectName): void {
  for (const field of ['uid', 'resourceVersion'] as const) {
    if (wanted[field] && wanted[field] !== old.metadata[field]) {
      const message = `Operation cannot be fulfilled on "${name}": the object has been modified (${field}); please apply your changes to the latest version`;
      throw new ApiError(409, 'Conflict', message);
    }
  }
}

function checkFinalizers(old: KubernetesObject, next: KubernetesObject): void {
  const added = (next.metadata.finalizers ?? []).filter((finalizer) => !(old.metadata.finalizers ?? []).includes(finalizer));
  if (old.metadata.deletionTimestamp !== undefined && added.length > 0) {
    const message = `metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
    throw new ApiError(422, 'Invalid', message);
  }
}

/** RFC 7386, word for word; the result shares nothing with its inputs. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return structuredClone(patch);
  const entries = new Map(isFields(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) entries.delete(key);
    else entries.set(key, applyMergePatch(entries.get(key), value));
  }
  return Object.fromEntries([...entries].map(([key, value]) => [key, structuredClone(value)]));
}
const isFields = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const deepEqual = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isFields(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
};
