/** Every metric of the manager, in one registry. docs/reference/metrics.md is generated from it. */
import { Gauge } from 'prom-client';
import type { PooledRemoteMachine, RemoteMachine } from '../apis/infrastructure/kinds.ts';
import { connectionMetrics } from './controllers/metrics/connections.ts';
import { machineMetrics } from './controllers/metrics/machines.ts';
import { poolMetrics } from './controllers/metrics/pools.ts';
import { createMetrics, type Metrics } from './framework/metrics.ts';
import type { ChangeHandler } from './framework/types.ts';
import type { ConnectionMetrics } from './ssh/measured.ts';

export interface ManagerMetrics extends Metrics {
  connections: ConnectionMetrics;
  /** To be told of every change. */
  onEntry: ChangeHandler<PooledRemoteMachine>;
  onMachine: ChangeHandler<RemoteMachine>;
}

export interface ManagerMetricsOptions {
  version: string;
  watchFilter?: string | undefined;
  /** The API server's time. */
  now: () => Date;
  /** Work on hosts that waits until it may connect. */
  waiting: () => number;
}

export function managerMetrics({ version, watchFilter, now, waiting }: ManagerMetricsOptions): ManagerMetrics {
  const metrics = createMetrics();
  const { registry, works } = metrics;
  new Gauge({
    name: 'capremote_build_info',
    help: 'Always 1, with the version of the manager.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1);
  const ofMachines = machineMetrics(registry, { watchFilter, now, works });
  return {
    ...metrics,
    connections: connectionMetrics(registry, waiting),
    onEntry: poolMetrics(registry, watchFilter),
    onMachine: (change) => {
      for (const handler of ofMachines) handler(change);
    },
  };
}
