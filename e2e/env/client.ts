/** The test's own client of the Kubernetes API: it shares no code with the operator that it checks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { type Call, RequestError, Rest } from './rest.ts';

/** Which objects: all of a kind, or one by name. */
export interface Reference {
  apiVersion: string;
  kind: string;
  namespace?: string;
  name?: string;
  labelSelector?: string;
}
export type NamedReference = Reference & { name: string };

export interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

/** Milliseconds, and no promise to anyone: suites side by side on a small machine hold up Cluster API core, and each other, for a minute. */
const LONGEST_WAIT = 120_000;
/** How long a kind may be unknown, ms. */
const DISCOVERY = 5_000;

/** Any object, as loosely typed as its YAML. Name a type of your own where a test reads much of it. */
export interface AnyObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    finalizers?: string[];
    ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean }[];
    creationTimestamp?: string;
    deletionTimestamp?: string;
    generation?: number;
  };
  spec?: Record<string, unknown>;
  status?: Record<string, unknown> & { conditions?: Condition[] };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  type?: string;
}

/** What can be sent: an object without what the server adds. */
export type Manifest = Omit<AnyObject, 'metadata' | 'spec'> & {
  metadata: Partial<AnyObject['metadata']> & { generateName?: string };
  spec?: unknown;
  [key: string]: unknown;
};

interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: AnyObject;
}
interface List<T> {
  metadata: { resourceVersion: string };
  items: T[];
}
interface Discovered {
  name: string;
  namespaced: boolean;
}
interface Resources {
  resources: (Discovered & { kind: string })[];
}

const FIELD_MANAGER = 'e2e';

export class Client {
  readonly rest: Rest;
  readonly #kinds = new Map<string, Discovered>();

  private constructor(rest: Rest) {
    this.rest = rest;
  }

  static async connect(kubeconfig: string): Promise<Client> {
    return new Client(await Rest.connect(kubeconfig));
  }

  /** Server-side apply, taking over fields that others own. */
  async apply<T extends AnyObject>(manifest: Manifest | AnyObject): Promise<T> {
    const path = await this.#path(referenceTo(manifest));
    const query = `?fieldManager=${FIELD_MANAGER}&force=true`;
    return this.rest.call<T>({ method: 'PATCH', path: path + query, body: manifest, contentType: 'application/apply-patch+yaml' });
  }

  /** Applies objects: CustomResourceDefinitions first, whose kinds are served before the others follow, in their order. */
  async applyAll(manifests: (Manifest | AnyObject)[]): Promise<AnyObject[]> {
    const [definitions, others] = [manifests.filter(isDefinition), manifests.filter((manifest) => !isDefinition(manifest))];
    const applied = await Promise.all(definitions.map((definition) => this.apply(definition)));
    await Promise.all(applied.map((definition) => this.waitForCondition(asNamed(definition), 'Established')));
    for (const manifest of others) applied.push(await this.apply(manifest));
    return applied;
  }

  /** Creates an object, which may have generateName; fails if it exists. */
  async create<T extends AnyObject>(manifest: Manifest): Promise<T> {
    const { apiVersion, kind, metadata } = manifest;
    const collection = await this.#path({ apiVersion, kind, namespace: metadata.namespace ?? 'default' });
    return this.rest.call<T>({ method: 'POST', path: `${collection}?fieldManager=${FIELD_MANAGER}`, body: manifest });
  }

  async get<T extends AnyObject>(reference: NamedReference): Promise<T> {
    return this.rest.call<T>({ method: 'GET', path: await this.#path(reference) });
  }

  /** The object, or undefined where there is none. */
  async find<T extends AnyObject>(reference: NamedReference): Promise<T | undefined> {
    return this.get<T>(reference).catch(ignoreNotFound);
  }

  async list<T extends AnyObject>(reference: Reference): Promise<T[]> {
    return (await this.#list<T>(reference)).items;
  }

  /** JSON merge patch (RFC 7386). */
  async patch<T extends AnyObject>(reference: NamedReference, body: object, subresource?: 'status'): Promise<T> {
    const path = (await this.#path(reference)) + (subresource === undefined ? '' : `/${subresource}`);
    return this.rest.call<T>({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' });
  }

  /** A token of a ServiceAccount, for a day. */
  async tokenOf({ namespace, serviceAccount }: { namespace: string; serviceAccount: string }): Promise<string> {
    const { status } = await this.rest.call<{ status: { token: string } }>({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 24 * 60 * 60 } },
    });
    return status.token;
  }

  /** Asks for deletion; an object that is gone already is no error. See waitForGone. */
  async delete(reference: NamedReference, propagationPolicy?: 'Foreground'): Promise<void> {
    const call: Call = { method: 'DELETE', path: await this.#path(reference) };
    await this.rest.call(propagationPolicy === undefined ? call : { ...call, body: { propagationPolicy } }).catch(ignoreNotFound);
  }

  /** Deletes an object and takes all finalizers off it, as people do who can't wait. */
  async deleteByForce(reference: NamedReference): Promise<void> {
    await this.delete(reference);
    await this.patch(reference, { metadata: { finalizers: null } }).catch(ignoreNotFound);
    await this.waitForGone(reference);
  }

  /**
   * Waits, by a watch, until the object satisfies `predicate`, and returns it. At the time-out the error shows what it was like last.
   * @param timeout in milliseconds.
   */
  async waitFor<T extends AnyObject>(reference: NamedReference, predicate: (object: T) => boolean, timeout = LONGEST_WAIT): Promise<T> {
    const [object] = await this.waitForAll<T>(reference, ([only]) => only !== undefined && predicate(only), timeout);
    return object as T;
  }

  /** Waits until the object's condition has the status, True if not given. */
  waitForCondition<T extends AnyObject>(reference: NamedReference, type: string, timeout = LONGEST_WAIT, status = 'True'): Promise<T> {
    return this.waitFor<T>(
      reference,
      (object) => object.status?.conditions?.some((one) => one.type === type && one.status === status) ?? false,
      timeout,
    );
  }

  async waitForGone(reference: NamedReference, timeout = LONGEST_WAIT): Promise<void> {
    await this.waitForAll(reference, (objects) => objects.length === 0, timeout);
  }

  /** Waits until the objects together satisfy `predicate`; they come in order of their names. */
  async waitForAll<T extends AnyObject>(reference: Reference, predicate: (objects: T[]) => boolean, timeout = LONGEST_WAIT): Promise<T[]> {
    const timer = AbortSignal.timeout(timeout);
    let last: T[] = [];
    try {
      for await (const objects of this.observe<T>(reference, timer)) {
        last = objects;
        if (predicate(objects)) return objects;
      }
    } catch (error) {
      if (!timer.aborted) throw error;
    }
    const what = `${reference.kind} ${[reference.namespace, reference.name].filter(Boolean).join('/')}`.trim();
    throw new Error(
      `${what} is not as expected after ${timeout / 1000} s. ${last.length === 0 ? 'It does not exist.' : `Last seen:\n${last.map(describe).join('\n')}`}`,
    );
  }

  /**
   * The objects as they are, and again after each change, until `signal` ends it. A watch that breaks is taken up by a new list, also
   * while the API server is away: that is what some tests do to it.
   */
  async *observe<T extends AnyObject>(reference: Reference, signal: AbortSignal): AsyncGenerator<T[]> {
    while (true) {
      try {
        yield* this.#observeOnce<T>(reference, signal);
      } catch (error) {
        signal.throwIfAborted();
        // 429: the storage of a kind that was replaced begins anew.
        if (error instanceof RequestError && ![410, 429].includes(error.status) && error.status < 500) throw error;
        await sleep(100, undefined, { signal });
      }
    }
  }

  /** One list, and its watch for as long as that lasts. */
  async *#observeOnce<T extends AnyObject>(reference: Reference, signal: AbortSignal): AsyncGenerator<T[]> {
    signal.throwIfAborted();
    const { items, metadata } = await this.#list<T>(reference, signal);
    const objects = new Map(items.map((item) => [keyOf(item), item]));
    const snapshot = () => [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
    yield snapshot();
    const path = await this.#path(reference, { watch: 'true', resourceVersion: metadata.resourceVersion });
    for await (const { type, object } of this.rest.stream<WatchEvent>({ method: 'GET', path, signal })) {
      if (type === 'ERROR') return;
      if (type === 'DELETED') objects.delete(keyOf(object));
      else if (type !== 'BOOKMARK') objects.set(keyOf(object), object as T);
      yield snapshot();
    }
  }

  async #list<T extends AnyObject>(reference: Reference, signal?: AbortSignal): Promise<List<T>> {
    const call: Call = { method: 'GET', path: await this.#path(reference, {}), ...(signal && { signal }) };
    const list = await this.rest.call<List<T>>(call);
    // A list doesn't repeat what its items are.
    const { apiVersion, kind } = reference;
    return { ...list, items: list.items.map((item) => ({ ...item, apiVersion, kind })) };
  }

  /** Path of the named object; with `query`, of the collection that holds it, narrowed down to it. */
  async #path(reference: Reference, query?: Record<string, string>): Promise<string> {
    const { apiVersion, namespace, name, labelSelector } = reference;
    const { name: plural, namespaced } = await this.#discover(reference);
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const place = namespaced && namespace !== undefined ? `/namespaces/${namespace}` : '';
    const collection = `${root}${place}/${plural}`;
    if (query === undefined) return name === undefined ? collection : `${collection}/${name}`;
    const selectors = {
      ...query,
      ...(name !== undefined && { fieldSelector: `metadata.name=${name}` }),
      ...(labelSelector !== undefined && { labelSelector }),
    };
    return `${collection}?${new URLSearchParams(selectors).toString()}`;
  }

  /** Custom kinds are missing for a moment when the API server has started, and nothing tells when that is over. */
  async #discover({ apiVersion, kind }: Reference): Promise<Discovered> {
    const key = `${apiVersion}/${kind}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const path = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const end = performance.now() + DISCOVERY;
    for (;;) {
      const { resources } = await this.rest.call<Resources>({ method: 'GET', path }).catch((error: unknown): Resources => {
        if (error instanceof RequestError && error.status === 404) return { resources: [] };
        throw error;
      });
      const found = resources.find((resource) => resource.kind === kind && !resource.name.includes('/'));
      if (found !== undefined) {
        this.#kinds.set(key, found);
        return found;
      }
      if (performance.now() > end) throw new Error(`the API server knows no ${kind} of ${apiVersion}`);
      await sleep(50);
    }
  }
}

/** Objects of a YAML text; empty documents are left out. What the API server would refuse, such as a key that is there twice, is an error. */
export function parseYAML(text: string): Manifest[] {
  const documents = parseAllDocuments(text);
  const [error] = documents.flatMap((document) => document.errors);
  if (error !== undefined) throw error;
  return documents.map((document) => document.toJSON() as Manifest | null).filter((object) => object !== null);
}

const isDefinition = ({ kind }: { kind: string }): boolean => kind === 'CustomResourceDefinition';
const keyOf = ({ metadata }: AnyObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** Names an object that is at hand. */
export const asNamed = (object: AnyObject): NamedReference => referenceTo(object);

/** Objects of namespaced kinds that name no namespace go to `default`, as with kubectl. */
function referenceTo({ apiVersion, kind, metadata }: Manifest | AnyObject): NamedReference {
  const { name } = metadata;
  if (name === undefined) throw new Error(`${kind} without a name`);
  return { apiVersion, kind, namespace: metadata.namespace ?? 'default', name };
}

/** For what may be gone already. */
export function ignoreNotFound(error: unknown): undefined {
  if (error instanceof RequestError && error.status === 404) return undefined;
  throw error;
}

/** An object in a line or two: its conditions, or else its status. */
function describe(object: AnyObject): string {
  const { kind, metadata, status } = object;
  if (kind === 'Event') return describeEvent(object);
  const deleting = metadata.deletionTimestamp === undefined ? '' : ` (deleting, finalizers ${(metadata.finalizers ?? []).join(', ')})`;
  const conditions = status?.conditions?.map(
    ({ type, status: value, reason, message }) => `    ${type}=${value} ${reason ?? ''}: ${message ?? ''}`,
  );
  return [`  ${kind} ${metadata.name}${deleting}`, ...(conditions ?? [`    status: ${JSON.stringify(status ?? {})}`])].join('\n');
}

function describeEvent({
  reason,
  note,
  regarding,
}: AnyObject & { reason?: string; note?: string; regarding?: { kind: string; name: string } }): string {
  return `  ${reason ?? ''} of ${regarding?.kind ?? ''} ${regarding?.name ?? ''}: ${note?.split('\n')[0] ?? ''}`;
}
