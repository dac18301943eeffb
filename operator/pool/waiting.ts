/** Who waits for a host: so that an entry that becomes free wakes those that can use it, oldest first, and not the whole fleet. */
import type { Request } from '../framework/types.ts';

interface Waiter {
  request: Request;
  createdAt: string;
  failureDomain: string | undefined;
  /** Of the only host that it takes; undefined: any of the pool. */
  identity?: string | undefined;
}

export class WaitingList {
  /** Topic (a pool or a host) -> who waits for it, the oldest first. */
  readonly #topics = new Map<string, Waiter[]>();
  /** By key of the machine. */
  readonly #places = new Map<string, { topic: string; waiter: Waiter }>();

  /** The machine waits for `topic` and for nothing else. */
  wait(topic: string, waiter: Waiter): void {
    this.leave(waiter.request);
    const waiters = this.#topics.get(topic) ?? [];
    waiters.splice(indexOf(waiters, waiter), 0, waiter);
    this.#topics.set(topic, waiters);
    this.#places.set(keyOf(waiter.request), { topic, waiter });
  }

  /** The machine has what it waited for, or is gone. Returns the topic that it waited for. */
  leave(request: Request): string | undefined {
    const key = keyOf(request);
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const { topic, waiter } = place;
    this.#places.delete(key);
    const waiters = this.#topics.get(topic) ?? [];
    waiters.splice(indexOf(waiters, waiter), 1);
    if (waiters.length === 0) this.#topics.delete(topic);
    return topic;
  }

  /** Whether any machine waits for the topic. */
  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** The `count` oldest that wait for the topic and take such a host. */
  next(topic: string, count: number, host: { failureDomain?: string | undefined; identity?: string | undefined } = {}): Request[] {
    const taken: Request[] = [];
    for (const { request, failureDomain, identity } of this.#topics.get(topic) ?? []) {
      if (taken.length >= count) break;
      if (failureDomain !== undefined && failureDomain !== host.failureDomain) continue;
      if (identity === undefined || identity === host.identity) taken.push(request);
    }
    return taken;
  }

  /** Of the topic, all of them. */
  all(topic: string): Request[] {
    return (this.#topics.get(topic) ?? []).map(({ request }) => request);
  }
}

/** Where it stands, or is to stand. */
function indexOf(waiters: readonly Waiter[], waiter: Waiter): number {
  let [low, high] = [0, waiters.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(waiters[middle] as Waiter, waiter)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const isBefore = (a: Waiter, b: Waiter): boolean =>
  a.createdAt < b.createdAt || (a.createdAt === b.createdAt && keyOf(a.request) < keyOf(b.request));

const keyOf = ({ namespace, name }: Request): string => `${namespace}/${name}`;
export const poolTopic = (namespace: string, pool: string): string => `pool:${namespace}/${pool}`;
/** The `namespace/pool` of a pool's topic, by which entries are indexed; undefined: it is of a host. */
export const poolOf = (topic: string): string | undefined => (topic.startsWith('pool:') ? topic.slice('pool:'.length) : undefined);
export const hostTopic = (identity: string): string => `host:${identity}`;
