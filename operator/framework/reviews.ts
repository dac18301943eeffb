/** Who asks, and whether they may: by TokenReview and SubjectAccessReview, as controller-runtime's metrics server does it. */
import { createHash } from 'node:crypto';
import { SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS } from '../../apis/core.ts';
import type { KubernetesObject } from '../../apis/meta.ts';
import type { Client } from './types.ts';

/** As the API server names whom a token is of. */
export interface User {
  username?: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
}

export interface Wanted {
  /** The HTTP method in lower case. */
  verb: string;
  path: string;
}

export interface Access {
  /** Rejects where the API server does not say. */
  check(token: string, wanted: Wanted): Promise<{ user: User | undefined; allowed: boolean }>;
}

type TokenReview = KubernetesObject<{ token: string }, { authenticated?: boolean; user?: User }>;
type AccessReview = KubernetesObject<object, { allowed: boolean }>;

/** Milliseconds for which an answer counts. A right that was given is to be had soon, one that was taken is gone within a minute. */
const KEPT = { known: 60_000, unknown: 10_000 };
/** Answers that are kept of each kind: whoever asks in vain with ever new tokens fills no memory. */
const MOST = 256;
/** Milliseconds for a review. */
const TIMEOUT = 10_000;

export class Reviews implements Access {
  readonly #client: Pick<Client, 'create'>;
  readonly #users: Kept<User | undefined>;
  readonly #allowed: Kept<boolean>;

  /** @param clock milliseconds of a clock that never jumps */
  constructor(client: Pick<Client, 'create'>, clock: () => number = () => performance.now()) {
    this.#client = client;
    this.#users = new Kept(clock, (user) => (user === undefined ? KEPT.unknown : KEPT.known));
    this.#allowed = new Kept(clock, (allowed) => (allowed ? KEPT.known : KEPT.unknown));
  }

  async check(token: string, wanted: Wanted): Promise<{ user: User | undefined; allowed: boolean }> {
    const user = await this.#users.get(createHash('sha256').update(token).digest('base64'), () => this.#authenticate(token));
    if (user === undefined) return { user, allowed: false };
    const allowed = await this.#allowed.get(JSON.stringify([user, wanted.verb, wanted.path]), () => this.#authorize(user, wanted));
    return { user, allowed };
  }

  async #authenticate(token: string): Promise<User | undefined> {
    const { status } = await this.#client.create<TokenReview>(TOKEN_REVIEWS, { spec: { token } }, AbortSignal.timeout(TIMEOUT));
    return status?.authenticated === true ? status.user : undefined;
  }

  async #authorize({ username: user, ...rest }: User, nonResourceAttributes: Wanted): Promise<boolean> {
    const spec = { user, ...rest, nonResourceAttributes };
    const { status } = await this.#client.create<AccessReview>(SUBJECT_ACCESS_REVIEWS, { spec }, AbortSignal.timeout(TIMEOUT));
    return status?.allowed === true;
  }
}

/** Answers for a while, the oldest of too many forgotten. Who asks while one is awaited gets the same one; a failure is not kept. */
class Kept<V> {
  readonly #clock: () => number;
  readonly #lifetime: (value: V) => number;
  readonly #answers = new Map<string, { answer: Promise<V>; until: number }>();

  constructor(clock: () => number, lifetime: (value: V) => number) {
    this.#clock = clock;
    this.#lifetime = lifetime;
  }

  get(key: string, ask: () => Promise<V>): Promise<V> {
    const kept = this.#answers.get(key);
    if (kept !== undefined && this.#clock() < kept.until) return kept.answer;
    this.#answers.delete(key);
    const entry = { answer: ask(), until: Infinity };
    this.#answers.set(key, entry);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > MOST && oldest !== undefined) this.#answers.delete(oldest);
    entry.answer.then(
      (value) => (entry.until = this.#clock() + this.#lifetime(value)),
      () => (entry.until = -Infinity),
    );
    return entry.answer;
  }
}
