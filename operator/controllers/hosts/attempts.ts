/** When something that failed is tried again: exponential backoff a key, kept across reconciles that other events cause. */
import type { Failure } from './failure.ts';

export interface Attempt {
  failure: Failure;
  /** Milliseconds until it is tried again; 0: now. */
  wait: number;
}

interface Record {
  failures: number;
  failure: Failure;
  retryAt: number;
  /** Of what was tried: another one is tried at once. */
  version: string;
}

export class Attempts {
  readonly #records = new Map<string, Record>();
  readonly #first: number;
  readonly #longest: number;

  /** Milliseconds of the first and of the longest wait. */
  constructor(first: number, longest: number) {
    this.#first = first;
    this.#longest = longest;
  }

  failed(key: string, version: string, failure: Failure): Attempt {
    const failures = (this.#records.get(key)?.failures ?? 0) + 1;
    const backoff = Math.min(this.#first * 2 ** (failures - 1), this.#longest);
    // Up to a tenth more, so that a fleet that failed together does not come back together.
    const wait = backoff * (1 + Math.random() / 10);
    this.#records.set(key, { failures, failure, retryAt: performance.now() + wait, version });
    return { failure, wait };
  }

  /** The failure that is still being waited out. */
  pending(key: string, version: string): Attempt | undefined {
    const record = this.#records.get(key);
    if (record === undefined) return undefined;
    if (record.version !== version) {
      this.#records.delete(key);
      return undefined;
    }
    const wait = record.retryAt - performance.now();
    return wait <= 0 ? undefined : { failure: record.failure, wait };
  }

  /** How the last try of the same went, also while the next one is under way. */
  last(key: string, version: string): Failure | undefined {
    const record = this.#records.get(key);
    return record?.version === version ? record.failure : undefined;
  }

  succeeded(key: string): void {
    this.#records.delete(key);
  }
}
