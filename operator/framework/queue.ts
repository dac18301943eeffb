/**
 * A work queue with the promises of client-go's: a key waits once however often it is added, and is never worked on twice at once. As in
 * controller-runtime's priority queue, some keys go first: of many that come together, those that are far on get done before all get on.
 */
import type { QueueMetrics } from './metrics.ts';
import type { Enqueue, Request } from './types.ts';

export interface QueueOptions {
  metrics?: QueueMetrics;
  /** Milliseconds of the first and of the longest wait of addRateLimited. Default 250 and 30,000. */
  backoff?: { base: number; max: number };
}

type Rank = 'first' | 'usual';

/** Longest delay that a Node timer takes; a key that comes back too early does no harm. */
const MAX_DELAY = 2 ** 31 - 1;

export class WorkQueue implements Enqueue {
  readonly #metrics: QueueMetrics | undefined;
  readonly #backoff: { base: number; max: number };
  /** Keys to work on, in order, with the time they were added. Each is in one of them at most, and none in #processing. */
  readonly #waiting: Record<Rank, Map<string, { request: Request; since: number }>> = { first: new Map(), usual: new Map() };
  readonly #processing = new Map<string, { since: number; again: Rank | undefined }>();
  readonly #delayed = new Map<string, { due: number; timer: NodeJS.Timeout }>();
  readonly #failures = new Map<string, number>();
  readonly #idle: ((request: Request | undefined) => void)[] = [];
  #closed = false;

  constructor(options: QueueOptions = {}) {
    this.#metrics = options.metrics;
    this.#backoff = options.backoff ?? { base: 250, max: 30_000 };
    this.#metrics?.depth(() => this.length);
    this.#metrics?.oldest(() => this.#oldest());
    this.#metrics?.unfinished(() => this.#running().reduce((sum, seconds) => sum + seconds, 0));
    this.#metrics?.longest(() => Math.max(0, ...this.#running()));
  }

  /** Keys that wait to be worked on now. */
  get length(): number {
    return this.#waiting.first.size + this.#waiting.usual.size;
  }

  /** Keys that the queue knows anything of: 0 once everything is done and forgotten. */
  get known(): number {
    const { first, usual } = this.#waiting;
    return new Set([...first.keys(), ...usual.keys(), ...this.#processing.keys(), ...this.#delayed.keys(), ...this.#failures.keys()]).size;
  }

  /** A key that is being worked on comes again after it is done. */
  add(request: Request): void {
    this.#add(request, 'usual');
  }

  /** As add, before those that were added. */
  addFirst(request: Request): void {
    this.#add(request, 'first');
  }

  /** Of several delays of a key the earliest due one counts. */
  addAfter(request: Request, milliseconds: number): void {
    if (this.#closed) return;
    if (!(milliseconds > 0)) {
      this.add(request);
      return;
    }
    const key = keyOf(request);
    const delay = Math.min(milliseconds, MAX_DELAY);
    const due = performance.now() + delay;
    const earlier = this.#delayed.get(key);
    if (earlier !== undefined && earlier.due <= due) return;
    clearTimeout(earlier?.timer);
    const timer = setTimeout(() => {
      this.#delayed.delete(key);
      this.add(request);
    }, delay);
    this.#delayed.set(key, { due, timer });
  }

  /** Adds it after a wait that doubles with each call until forget, with jitter so that failures don't march in step. */
  addRateLimited(request: Request, atLeast = 0): void {
    if (this.#closed) return;
    const key = keyOf(request);
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#metrics?.retried();
    const full = Math.min(this.#backoff.base * 2 ** failures, this.#backoff.max);
    this.addAfter(request, Math.max(atLeast, full * (0.5 + Math.random() / 2)));
  }

  /** Ends the backoff of a key: it went well. */
  forget(request: Request): void {
    this.#failures.delete(keyOf(request));
  }

  /** The next key, as soon as there is one; undefined after shutDown. Call done for it. */
  get(): Promise<Request | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    for (const waiting of [this.#waiting.first, this.#waiting.usual]) {
      for (const [key, { request, since }] of waiting) {
        waiting.delete(key);
        return Promise.resolve(this.#hand(key, request, since));
      }
    }
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  done(request: Request): void {
    const key = keyOf(request);
    const processing = this.#processing.get(key);
    if (processing === undefined) return;
    this.#processing.delete(key);
    this.#metrics?.worked((performance.now() - processing.since) / 1000);
    if (processing.again && !this.#closed) this.#enqueue(key, request, processing.again);
  }

  /** Drops everything that waits; get gives undefined from now on, and adds are ignored. */
  shutDown(): void {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    for (const waiting of Object.values(this.#waiting)) waiting.clear();
    this.#failures.clear();
    for (const resolve of this.#idle.splice(0)) resolve(undefined);
  }

  /** Seconds since each work in progress began. */
  #running(): number[] {
    const now = performance.now();
    return [...this.#processing.values()].map(({ since }) => (now - since) / 1000);
  }

  /** Seconds since the key was added that waits longest. */
  #oldest(): number {
    const now = performance.now();
    let first = now;
    for (const waiting of Object.values(this.#waiting)) for (const { since } of waiting.values()) first = Math.min(first, since);
    return (now - first) / 1000;
  }

  #add(request: Request, rank: Rank): void {
    const key = keyOf(request);
    if (this.#closed || this.#waiting.first.has(key)) return;
    const processing = this.#processing.get(key);
    const there = this.#waiting.usual.get(key);
    if (processing?.again === undefined && there === undefined) this.#metrics?.added();
    if (processing !== undefined) {
      if (processing.again === undefined || rank === 'first') processing.again = rank;
    } else if (there === undefined) {
      this.#enqueue(key, request, rank);
    } else if (rank === 'first') {
      this.#waiting.usual.delete(key);
      this.#waiting.first.set(key, there);
    }
  }

  #enqueue(key: string, request: Request, rank: Rank): void {
    const since = performance.now();
    const resolve = this.#idle.shift();
    if (resolve === undefined) this.#waiting[rank].set(key, { request, since });
    else resolve(this.#hand(key, request, since));
  }

  #hand(key: string, request: Request, since: number): Request {
    const now = performance.now();
    this.#metrics?.waited((now - since) / 1000);
    this.#processing.set(key, { since: now, again: undefined });
    return request;
  }
}

const keyOf = ({ namespace, name }: Request): string => `${namespace}/${name}`;
