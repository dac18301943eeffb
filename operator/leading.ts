/** Who of several managers works: by which Lease they elect, and what is told of that. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { LEASE_NAME } from '../apis/rights.ts';
import type { Flags } from './flags.ts';
import { LeaderElector, type LeaderElectionOptions } from './framework/leader-election.ts';
import type { Metrics } from './framework/metrics.ts';

export type LeaseOptions = Required<Pick<LeaderElectionOptions, 'namespace' | 'name' | 'leaseDuration' | 'renewDeadline' | 'retryPeriod'>>;

/** undefined: nobody is elected. */
export function leaseOf(flags: Flags): LeaseOptions | undefined {
  if (!flags.leaderElect) return undefined;
  const namespace = flags.leaderElectionNamespace ?? podNamespace();
  if (namespace === undefined) throw new Error('--leader-elect outside a pod needs --leader-election-namespace');
  return {
    namespace,
    name: flags.leaderElectionId,
    leaseDuration: flags.leaderElectLeaseDuration,
    renewDeadline: flags.leaderElectRenewDeadline,
    retryPeriod: flags.leaderElectRetryPeriod,
  };
}

export interface LeaderElectionParts extends Pick<LeaderElectionOptions, 'client' | 'log'> {
  flags: Flags;
  metrics: Pick<Metrics, 'leader'>;
}

/** undefined: this manager works without being elected. */
export function leaderElection({ flags, client, log, metrics }: LeaderElectionParts): LeaderElector | undefined {
  // What alerts ask for, whatever the Lease is called.
  const measured = { leader: (_: string, leads: boolean) => metrics.leader(LEASE_NAME, leads) };
  const lease = leaseOf(flags);
  if (lease === undefined) {
    // The alert of a leader that is missing is not for a manager that needs none.
    metrics.leader(LEASE_NAME, true);
    return undefined;
  }
  const identity = `${hostname()}_${randomBytes(4).toString('hex')}`;
  return new LeaderElector({ client, ...lease, identity, log, metrics: measured });
}

/** Where the kubelet says it; undefined outside a pod. */
function podNamespace(): string | undefined {
  try {
    return readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/namespace', 'utf8').trim();
  } catch {
    return undefined;
  }
}
