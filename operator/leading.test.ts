/** What a manager makes of its flags for leading, and tells of it. */
import { LEASE_NAME } from '../apis/rights.ts';
import { parseFlags } from './flags.ts';
import { createMetrics } from './framework/metrics.ts';
import { MemoryLogger } from './framework/testing/log.ts';
import { leaderElection, leaseOf } from './leading.ts';

const flags = (...args: string[]) => parseFlags(['node', 'manager', ...args], '1.2.3');
const ELECTING = ['--leader-elect', '--leader-election-namespace=system', '--leader-election-id=lease'];

/** Samples of the gauge. */
async function told(...args: string[]): Promise<string[]> {
  const metrics = createMetrics();
  const never = (): Promise<never> => new Promise(() => undefined);
  leaderElection({ flags: flags(...args), client: { get: never, create: never, patch: never }, log: new MemoryLogger(), metrics });
  return (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith('leader_election_master_status'));
}

test('one that is to be elected does not lead yet, under the name that alerts ask for', async () => {
  expect(await told(...ELECTING)).toEqual([`leader_election_master_status{name="${LEASE_NAME}"} 0`]);
});

test('one that needs no election leads: no alert may miss a leader', async () => {
  expect(await told()).toEqual([`leader_election_master_status{name="${LEASE_NAME}"} 1`]);
});

test('the Lease is that of the flags, with its times', () => {
  const times = ['--leader-elect-lease-duration=9s', '--leader-elect-renew-deadline=6s', '--leader-elect-retry-period=3s'];
  expect(leaseOf(flags(...ELECTING, ...times))).toEqual({
    namespace: 'system',
    name: 'lease',
    leaseDuration: 9_000,
    renewDeadline: 6_000,
    retryPeriod: 3_000,
  });
  expect(leaseOf(flags(...ELECTING.slice(1)))).toBeUndefined();
});
