/** One of several managers leads: a Lease of coordination.k8s.io/v1, used as client-go's leaderelection does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LEASES } from '../../apis/core.ts';
import type { KubernetesObject } from '../../apis/meta.ts';
import type { Metrics } from './metrics.ts';
import { isAlreadyExists, isConflict, isNotFound, type Client, type Logger } from './types.ts';

export interface LeaderElectionOptions {
  client: Pick<Client, 'get' | 'create' | 'patch'>;
  namespace: string;
  /** Of the Lease. */
  name: string;
  /** Unique among candidates: host name and a random part. */
  identity: string;
  log: Logger;
  metrics?: Pick<Metrics, 'leader'>;
  /** Milliseconds. Defaults 15,000, 10,000 and 2,000. */
  leaseDuration?: number;
  renewDeadline?: number;
  retryPeriod?: number;
  /** Milliseconds of a clock that never jumps. */
  clock?: () => number;
}

interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}
type Lease = KubernetesObject<LeaseSpec>;

/**
 * Never compares clocks of two machines: another's lease counts as run out when it did not change for its whole duration by this
 * candidate's own monotonic clock. The leader gives up after renewDeadline without a renewal, which is shorter than the lease.
 */
export class LeaderElector {
  readonly #options: LeaderElectionOptions;
  readonly #leaseDuration: number;
  readonly #renewDeadline: number;
  readonly #retryPeriod: number;
  readonly #clock: () => number;
  /** The lease as last seen, and when this state of it was first seen. */
  #observed: { lease: Lease; at: number } | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#leaseDuration = options.leaseDuration ?? 15_000;
    this.#renewDeadline = options.renewDeadline ?? 10_000;
    this.#retryPeriod = options.retryPeriod ?? 2_000;
    this.#clock = options.clock ?? (() => performance.now());
    if (!(this.#leaseDuration > this.#renewDeadline && this.#renewDeadline > this.#retryPeriod * 1.2)) {
      throw new Error(
        'leader election: the lease duration must be longer than the renew deadline, and that by a fifth longer than the retry period',
      );
    }
    options.metrics?.leader(options.name, false);
  }

  /** Resolves true once this candidate leads, false once the signal aborted. Never rejects. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    this.#options.log.info('waiting for the leader lease', this.#names());
    let holder: string | undefined;
    while (!signal.aborted) {
      if (await this.#try(this.#renewDeadline, signal)) {
        this.#options.metrics?.leader(this.#options.name, true);
        this.#options.log.info('leading', this.#names());
        return true;
      }
      const current = this.#observed?.lease.spec?.holderIdentity;
      if (current !== holder) this.#options.log.info('another manager leads', { ...this.#names(), holder: current });
      holder = current;
      await this.#pause(signal, this.#left());
    }
    return false;
  }

  /**
   * Call after acquire gave true. Renews until the signal aborts ('stopped': the lease is still held, see release) or no renewal
   * succeeded within the renew deadline ('lost': whoever acts as the leader must stop at once). Never rejects.
   */
  async hold(signal: AbortSignal): Promise<'stopped' | 'lost'> {
    let renewed = this.#clock();
    while (await this.#pause(signal)) {
      const attempt = this.#clock();
      const left = renewed + this.#renewDeadline - attempt;
      if (left > 0 && (await this.#try(left, signal))) renewed = attempt;
      const holder = this.#observed?.lease.spec?.holderIdentity;
      const taken = holder !== undefined && holder !== this.#options.identity;
      if (taken || this.#clock() - renewed >= this.#renewDeadline) {
        this.#options.metrics?.leader(this.#options.name, false);
        this.#options.log.error('lost the leader lease', { ...this.#names(), holder });
        return 'lost';
      }
    }
    return 'stopped';
  }

  /** Gives the lease up, so that the next one need not wait for it to run out. Never rejects. */
  async release(): Promise<void> {
    this.#options.metrics?.leader(this.#options.name, false);
    const signal = AbortSignal.timeout(Math.ceil(this.#renewDeadline));
    try {
      // A renewal that the stop cut short may have reached the server: then the version is another one.
      const given = await this.#giveUp(signal).catch(async (error: unknown) => {
        if (!isConflict(error)) throw error;
        await this.#look(signal);
        return this.#giveUp(signal);
      });
      if (given) this.#options.log.info('gave up the leader lease', this.#names());
    } catch (error) {
      this.#options.log.warn('the leader lease could not be given up: it runs out', { ...this.#names(), error });
    }
  }

  /** False if another one has it. */
  async #giveUp(signal: AbortSignal): Promise<boolean> {
    const lease = this.#observed?.lease;
    if (lease?.spec?.holderIdentity !== this.#options.identity) return false;
    const now = microTime(new Date());
    await this.#write(lease, { holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now }, signal);
    return true;
  }

  /** One attempt to take or renew the lease, of at most `limit` milliseconds. */
  async #try(limit: number, stop: AbortSignal): Promise<boolean> {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(Math.ceil(limit))]);
    const { namespace, name, identity, log } = this.#options;
    try {
      if (this.#observed?.lease.spec?.holderIdentity !== identity) await this.#look(signal);
      const lease = this.#observed?.lease;
      if (lease === undefined) {
        const spec = this.#spec(0);
        this.#observe(
          await this.#options.client.create<Lease>(LEASES, { metadata: { namespace, name } as Lease['metadata'], spec }, signal),
        );
        return true;
      }
      const mine = lease.spec?.holderIdentity === identity;
      if (!mine && this.#isValid()) return false;
      const transitions = (lease.spec?.leaseTransitions ?? 0) + (mine ? 0 : 1);
      const spec = this.#spec(transitions);
      if (mine) delete spec.acquireTime;
      await this.#write(lease, spec, signal);
      return true;
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error) || isNotFound(error)) await this.#look(signal).catch(() => undefined);
      else if (!stop.aborted) log.warn('the leader lease could not be read or written', { ...this.#names(), error });
      return false;
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { client, namespace, name } = this.#options;
    try {
      this.#observe(await client.get<Lease>(LEASES, { namespace, name }, signal));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      this.#observed = undefined;
    }
  }

  async #write(lease: Lease, spec: Partial<LeaseSpec>, signal: AbortSignal): Promise<void> {
    const { client, namespace, name } = this.#options;
    const body = { metadata: { resourceVersion: lease.metadata.resourceVersion }, spec };
    this.#observe(await client.patch<Lease>(LEASES, { namespace, name }, body, { signal }));
  }

  #observe(lease: Lease): void {
    if (this.#observed?.lease.metadata.resourceVersion === lease.metadata.resourceVersion) return;
    this.#observed = { lease, at: this.#clock() };
  }

  /** Whether somebody holds the lease and may still do so. */
  #isValid(): boolean {
    if (this.#observed === undefined) return false;
    return Boolean(this.#observed.lease.spec?.holderIdentity) && this.#left() > 0;
  }

  /** Milliseconds until the lease as last seen runs out; at most 0: it has. */
  #left(): number {
    if (this.#observed === undefined) return 0;
    const { lease, at } = this.#observed;
    const duration = (lease.spec?.leaseDurationSeconds ?? 0) * 1000 || this.#leaseDuration;
    return at + duration - this.#clock();
  }

  #spec(leaseTransitions: number): LeaseSpec {
    const now = microTime(new Date());
    const leaseDurationSeconds = Math.max(1, Math.ceil(this.#leaseDuration / 1000));
    return { holderIdentity: this.#options.identity, leaseDurationSeconds, acquireTime: now, renewTime: now, leaseTransitions };
  }

  /**
   * With up to 20 % more by chance, so that candidates don't march in step; until the lease runs out (`left`) where that comes first, so
   * that a leader that died is not waited for longer than it takes. False at once when aborted.
   */
  async #pause(signal: AbortSignal, left = Infinity): Promise<boolean> {
    const full = this.#retryPeriod * (1 + Math.random() / 5);
    return sleep(left > 0 ? Math.min(full, Math.ceil(left)) : full, true, { signal }).catch(() => false);
  }

  #names(): { lease: string; identity: string } {
    return { lease: `${this.#options.namespace}/${this.#options.name}`, identity: this.#options.identity };
  }
}

/** metav1.MicroTime: RFC 3339 with exactly six digits of a second. */
export const microTime = (time: Date): string => `${time.toISOString().slice(0, -1)}000Z`;
