/** Lists, watches as streams of lines, and the selectors of both. */
import type http from 'node:http';
import type { KubernetesObject } from '../../../apis/meta.ts';
import { ApiError } from '../types.ts';
import type { Target } from './routes.ts';
import { apiVersionOf, type Storage, type StoredEvent } from './storage.ts';

type Filter = (object: KubernetesObject) => boolean;

/** Equality and existence of labels (a=b, a!=b, a, !a), and the namespace of the path. */
function filterOf(target: Target, query: URLSearchParams): Filter {
  const terms = (query.get('labelSelector') ?? '').split(',').filter((term) => term !== '');
  const tests = terms.map((term): Filter => {
    const [, not, name = '', operator, value] = /^(!?)([^=!]+)(=|==|!=)?([^=]*)$/.exec(term) ?? [];
    if (operator === undefined) return (object) => (object.metadata.labels?.[name] !== undefined) === (not === '');
    return (object) => (object.metadata.labels?.[name] === value) === (operator !== '!=');
  });
  return (object) =>
    (target.namespace === undefined || object.metadata.namespace === target.namespace) && tests.every((test) => test(object));
}

export function listOf(storage: Storage, target: Target, query: URLSearchParams): object {
  const { resource } = target.kind;
  const items = storage.list(target.collection).filter(filterOf(target, query));
  const metadata = { resourceVersion: String(storage.revision) };
  return { apiVersion: apiVersionOf(resource), kind: `${resource.kind}List`, metadata, items };
}

export class Watch {
  readonly #storage: Storage;
  readonly #target: Target;
  readonly #query: URLSearchParams;
  readonly #response: http.ServerResponse;
  readonly #filter: Filter;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;

  constructor(storage: Storage, target: Target, query: URLSearchParams, response: http.ServerResponse) {
    this.#storage = storage;
    this.#target = target;
    this.#query = query;
    this.#response = response;
    this.#filter = filterOf(target, query);
    this.closed = new Promise((resolve) => response.on('close', () => resolve()));
  }

  start(endsList: boolean): void {
    const version = this.#query.get('resourceVersion') ?? '';
    this.#response.writeHead(200, { 'Content-Type': 'application/json' });
    this.#response.flushHeaders();
    try {
      if (version === '' || version === '0') {
        for (const object of this.#storage.list(this.#target.collection).filter(this.#filter)) this.#write({ type: 'ADDED', object });
        if (endsList && this.#query.get('sendInitialEvents') === 'true')
          this.bookmark(this.#storage.revision, { 'k8s.io/initial-events-end': 'true' });
      } else for (const event of this.#storage.since(this.#target.collection, Number(version))) this.#send(event);
    } catch (error) {
      this.end(error as ApiError);
      return;
    }
    const timer = setTimeout(() => this.end('end'), Number(this.#query.get('timeoutSeconds') ?? 3600) * 1000);
    const unlisten = this.#storage.listen((event) => this.#send(event));
    this.#response.on('close', () => {
      clearTimeout(timer);
      unlisten();
    });
  }

  bookmark(revision: number, annotations?: Record<string, string>): void {
    if (this.#query.get('allowWatchBookmarks') !== 'true') return;
    const { resource } = this.#target.kind;
    const metadata = { resourceVersion: String(revision), creationTimestamp: null, ...(annotations && { annotations }) };
    this.#write({ type: 'BOOKMARK', object: { apiVersion: apiVersionOf(resource), kind: resource.kind, metadata } });
  }

  end(how: 'end' | 'reset' | Pick<ApiError, 'status' | 'reason'>): void {
    if (how === 'reset') this.#response.destroy();
    else {
      if (how !== 'end') this.#write({ type: 'ERROR', object: statusOf(how) });
      this.#response.end();
    }
  }

  /** An object that comes into the selection is ADDED, one that leaves it is DELETED. */
  #send({ collection, type, object, old }: StoredEvent): void {
    if (collection !== this.#target.collection) return;
    const now = type !== 'DELETED' && this.#filter(object);
    const before = old !== undefined && this.#filter(old);
    if (now) this.#write({ type: before ? 'MODIFIED' : 'ADDED', object });
    else if (before) this.#write({ type: 'DELETED', object });
  }

  #write(line: object): void {
    if (!this.#response.writableEnded) this.#response.write(`${JSON.stringify(line)}\n`);
  }
}

/** meta/v1 Status. */
export const statusOf = (error: { status: number; reason: string; message?: string }): object => ({
  apiVersion: 'v1',
  kind: 'Status',
  metadata: {},
  status: 'Failure',
  message: error.message ?? error.reason,
  reason: error.reason,
  code: error.status,
});
