import type { Client, Logger } from './types.ts';
import type { Metrics } from './metrics.ts';

export interface LeaderElectionOptions {
  client: Client;
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
}
export declare class LeaderElector {
  constructor(options: LeaderElectionOptions);
  /** Resolves true once this candidate leads, false once the signal aborted. */
  acquire(signal: AbortSignal): Promise<boolean>;
  /** Renews until the signal aborts ('stopped') or the lease could not be renewed in time ('lost'). */
  hold(signal: AbortSignal): Promise<'stopped' | 'lost'>;
  /** Gives the lease up, so that another one need not wait for it to run out. */
  release(): Promise<void>;
}
