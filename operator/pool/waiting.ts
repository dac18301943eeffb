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
  /** Topic (a pool or a host) -> key of the machine -> waiter. */
  readonly #topics = new Map<string, Map<string, Waiter>>();
  readonly #topicOf = new Map<string, string>();

  /** The machine waits for `topic` and for nothing else. */
  wait(topic: string, waiter: Waiter): void {
    const key = keyOf(waiter.request);
    if (this.#topicOf.get(key) !== topic) this.leave(waiter.request);
    const waiters = this.#topics.get(topic) ?? new Map<string, Waiter>();
    waiters.set(key, waiter);
    this.#topics.set(topic, waiters);
    this.#topicOf.set(key, topic);
  }

  /** The machine has what it waited for, or is gone. Returns the topic that it waited for. */
  leave(request: Request): string | undefined {
    const key = keyOf(request);
    const topic = this.#topicOf.get(key);
    if (topic === undefined) return undefined;
    this.#topicOf.delete(key);
    const waiters = this.#topics.get(topic);
    waiters?.delete(key);
    if (waiters?.size === 0) this.#topics.delete(topic);
    return topic;
  }

  /** Whether any machine waits for the topic. */
  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** The `count` oldest that wait for the topic and take such a host. */
  next(topic: string, count: number, host: { failureDomain?: string | undefined; identity?: string | undefined } = {}): Request[] {
    const waiters = [...(this.#topics.get(topic)?.values() ?? [])];
    return waiters
      .filter(({ failureDomain }) => failureDomain === undefined || failureDomain === host.failureDomain)
      .filter(({ identity }) => identity === undefined || identity === host.identity)
      .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt) || keyOf(a.request).localeCompare(keyOf(b.request)))
      .slice(0, count)
      .map(({ request }) => request);
  }

  /** Of the topic, all of them. */
  all(topic: string): Request[] {
    return [...(this.#topics.get(topic)?.values() ?? [])].map(({ request }) => request);
  }
}

const keyOf = ({ namespace, name }: Request): string => `${namespace}/${name}`;
export const poolTopic = (namespace: string, pool: string): string => `pool:${namespace}/${pool}`;
/** The `namespace/pool` of a pool's topic, by which entries are indexed; undefined: it is of a host. */
export const poolOf = (topic: string): string | undefined => (topic.startsWith('pool:') ? topic.slice('pool:'.length) : undefined);
export const hostTopic = (identity: string): string => `host:${identity}`;
