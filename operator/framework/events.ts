/** Events of events.k8s.io/v1, written in the background: those of one object one after the other. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { EVENTS } from '../../apis/core.ts';
import type { KubernetesObject } from '../../apis/meta.ts';
import { clip } from './conditions.ts';
import { microTime } from './leader-election.ts';
import { ApiError, isAlreadyExists, isNotFound, type Client, type EventRecorder, type Logger } from './types.ts';

export interface EventSinkOptions {
  client: Pick<Client, 'create' | 'patch' | 'now'>;
  log: Logger;
  /** reportingInstance: the pod's name. */
  instance: string;
}

const CONTROLLER = 'cluster-api-provider-remote';
/** Milliseconds without a repeat after which the next one is a new Event (client-go's series end after six minutes, too). */
const SERIES_END = 6 * 60_000;
/** Least time between two writes of one series. */
const SERIES_WRITE = 60_000;
/** Writes for one object: so many at once, then one each minute. */
const BURST = 25;
const REFILL = 60_000;
/** Writes that may wait; events beyond are dropped. */
const MAX_PENDING = 5000;
/** Writes in all: so many at once, then so many a second. The API server is to have room for what machines wait for. */
const WRITE_BURST = 30;
const WRITE_RATE = 10;
/** Writes under way at a time. One after the other, an API server that takes seconds for each would tell of a wait minutes late. */
const WRITERS = 4;
/** How often one is written, and the first wait before it is again, twice as long each time, in milliseconds. client-go gives up after 12 times, too. */
const TRIES = 12;
const RETRY = 250;
const MAX_RETRY = 10_000;
/** The API server's limit, in bytes; 128 characters for reason, action and instance. */
const MAX_NOTE = 1024;

/** The write of an Event, or of a series, about the object with the UID. */
interface Write {
  uid: string;
  write: () => Promise<unknown>;
}

/** An Event that was written and may come again. */
interface Series {
  uid: string;
  namespace: string;
  name: string;
  count: number;
  last: number;
  written: number;
  timer: NodeJS.Timeout | undefined;
}

export class EventSink implements EventRecorder {
  readonly #options: EventSinkOptions;
  readonly #series = new Map<string, Series>();
  readonly #buckets = new Map<string, { tokens: number; at: number }>();
  readonly #pending: Write[] = [];
  /** What is being written, by the UID of the object that it is about. */
  readonly #writing = new Map<string, Promise<void>>();
  /** Aborted when what waits is to be written at once. */
  readonly #hurry = new AbortController();
  #turns = { left: WRITE_BURST, at: 0 };
  #swept = 0;

  constructor(options: EventSinkOptions) {
    this.#options = options;
  }

  event(object: KubernetesObject, type: 'Normal' | 'Warning', reason: string, action: string, note: string): void {
    const now = this.#now();
    this.#sweep(now);
    const key = JSON.stringify([object.metadata.uid, type, reason, action, note]);
    const series = this.#series.get(key);
    if (series !== undefined && now - series.last < SERIES_END) {
      series.count++;
      series.last = now;
      this.#scheduleSeries(series);
      return;
    }
    if (!this.#takeToken(object.metadata.uid, now)) {
      this.#options.log.debug('too many events for one object: dropped', { name: object.metadata.name, reason, note });
      return;
    }
    const namespace = object.metadata.namespace ?? 'default';
    const name = `${object.metadata.name.slice(0, 200).replace(/[.-]+$/, '')}.${randomBytes(8).toString('hex')}`;
    this.#series.set(key, { uid: object.metadata.uid, namespace, name, count: 1, last: now, written: now, timer: undefined });
    const body = eventOf(object, { type, reason, action, note }, this.#options.instance, new Date(now));
    this.#enqueue(object.metadata.uid, () => this.#options.client.create(EVENTS, { ...body, metadata: { namespace, name } } as object));
  }

  /** Writes what waits, series included. Resolves when all is written, or after `milliseconds` (default 2,000). */
  async drain(milliseconds = 2000): Promise<void> {
    this.#hurry.abort();
    for (const series of this.#series.values()) {
      if (series.timer !== undefined) this.#writeSeries(series);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    await Promise.race([promise, this.#allWritten()]);
    clearTimeout(timer);
    if (this.#pending.length > 0) this.#options.log.warn('events were not written in time', { dropped: this.#pending.length });
    this.#pending.length = 0;
  }

  /** The first repeat is written at once, further ones each minute in one. */
  #scheduleSeries(series: Series): void {
    if (series.timer !== undefined) return;
    const wait = series.count === 2 ? 0 : Math.max(0, series.written + SERIES_WRITE - this.#now());
    if (wait === 0 && this.#takeToken(series.uid, this.#now())) this.#writeSeries(series);
    else series.timer = setTimeout(() => this.#writeSeries(series), wait || SERIES_WRITE).unref();
  }

  #writeSeries(series: Series): void {
    clearTimeout(series.timer);
    series.timer = undefined;
    series.written = this.#now();
    const { uid, namespace, name, count, last } = series;
    const body = { series: { count, lastObservedTime: microTime(new Date(last)) } };
    this.#enqueue(uid, () => this.#options.client.patch(EVENTS, { namespace, name }, body));
  }

  #now(): number {
    return this.#options.client.now().getTime();
  }

  #takeToken(uid: string, now: number): boolean {
    const { tokens, at } = this.#buckets.get(uid) ?? { tokens: BURST, at: now };
    const filled = Math.min(BURST, tokens + (now - at) / REFILL);
    this.#buckets.set(uid, { tokens: filled >= 1 ? filled - 1 : filled, at: now });
    return filled >= 1;
  }

  /** Forgets series that ended and buckets that are full again, at most once a minute. */
  #sweep(now: number): void {
    if (now - this.#swept < 60_000) return;
    this.#swept = now;
    for (const [key, series] of this.#series) if (now - series.last >= SERIES_END && series.timer === undefined) this.#series.delete(key);
    for (const [uid, { tokens, at }] of this.#buckets) if (tokens + (now - at) / REFILL >= BURST) this.#buckets.delete(uid);
  }

  #enqueue(uid: string, write: Write['write']): void {
    if (this.#pending.length >= MAX_PENDING) {
      this.#options.log.warn('an event was dropped: too many wait to be written');
      return;
    }
    this.#pending.push({ uid, write });
    this.#writeNext();
  }

  #writeNext(): void {
    while (this.#writing.size < WRITERS) {
      const at = this.#pending.findIndex(({ uid }) => !this.#writing.has(uid));
      const next = at < 0 ? undefined : this.#pending.splice(at, 1)[0];
      if (next === undefined) return;
      const written = this.#write(next).finally(() => {
        this.#writing.delete(next.uid);
        this.#writeNext();
      });
      this.#writing.set(next.uid, written);
    }
  }

  async #allWritten(): Promise<void> {
    while (this.#writing.size > 0) await Promise.race(this.#writing.values());
  }

  async #turn(): Promise<void> {
    const now = performance.now();
    const left = Math.min(WRITE_BURST, this.#turns.left + ((now - this.#turns.at) / 1000) * WRITE_RATE) - 1;
    this.#turns = { left, at: now };
    if (left < 0) await this.#wait((-left / WRITE_RATE) * 1000);
  }

  /** Ends early in a hurry. */
  async #wait(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#hurry.signal, ref: false }).catch(() => undefined);
  }

  async #write({ write }: Write): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.#turn();
      try {
        await write();
        return;
      } catch (error) {
        // An Event lives an hour; its series may outlive it. Its name is random: what exists is what the last try made.
        if (isNotFound(error) || isAlreadyExists(error)) return;
        if (tries === TRIES || !mayPass(error)) {
          this.#options.log.warn('an event could not be written', { error, tries });
          return;
        }
        await this.#wait(Math.min(MAX_RETRY, RETRY * 2 ** (tries - 1)));
      }
    }
  }
}

/** No answer, such as on a connection that the server had closed, or one that speaks of the server's own trouble. */
const mayPass = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);

function eventOf(
  object: KubernetesObject,
  { type, reason, action, note }: { type: string; reason: string; action: string; note: string },
  instance: string,
  now: Date,
): object {
  const { apiVersion, kind, metadata } = object;
  const { namespace, name, uid, resourceVersion } = metadata;
  return {
    eventTime: microTime(now),
    type,
    reason: clip(reason, 128),
    action: clip(action, 128),
    note: clipBytes(note, MAX_NOTE),
    regarding: { apiVersion, kind, ...(namespace !== undefined && { namespace }), name, uid, resourceVersion },
    reportingController: CONTROLLER,
    reportingInstance: clip(instance, 128),
  };
}

/** At most `max` bytes of UTF-8, marked with an ellipsis where something was cut. */
function clipBytes(text: string, max: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= max) return text;
  let end = max - 3;
  // Not within a character: continuation bytes are 10xxxxxx.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${bytes.subarray(0, end).toString()}…`;
}
