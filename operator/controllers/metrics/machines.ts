/** Metrics of machines and of the runs on their hosts. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { getCondition } from '../../framework/conditions.ts';
import { countBy, countByState } from '../../framework/tally.ts';
import type { ChangeHandler } from '../../framework/types.ts';
import { isWatched } from '../remotemachine/owner.ts';

export const MACHINE_PHASES = ['Pending', 'Claimed', 'Running', 'Ready', 'Failed', 'Deleting'] as const;
export type MachinePhase = (typeof MACHINE_PHASES)[number];

export function phaseOf({ metadata, status }: RemoteMachine): MachinePhase {
  if (metadata.deletionTimestamp !== undefined) return 'Deleting';
  if (status?.ready === true) return 'Ready';
  if (getCondition(status?.conditions, CONDITION.Ready)?.status === 'False') return 'Failed';
  const phase = status?.bootstrap?.phase;
  return phase === 'Claimed' || phase === 'Running' ? phase : 'Pending';
}

/** How a run ends: as failureOfRun says it. */
export const RUN_RESULTS = [
  'Succeeded',
  REASON.BootstrapFailed,
  REASON.BootstrapTimedOut,
  REASON.BootstrapVanished,
  REASON.HostRebooted,
  REASON.SentinelMissing,
  REASON.ClaimLost,
  'Other',
] as const;

/** From a second to the hour that --bootstrap-timeout leaves a run. */
const BUCKETS = [1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];

export interface MachineMetricsOptions {
  watchFilter?: string | undefined;
  /** The API server's time. */
  now: () => Date;
  /** Whether this manager is the one that works: what happens is counted by it alone. */
  works: () => boolean;
}

/** Returns what is to be told of every change of a machine. */
export function machineMetrics(registry: Registry, options: MachineMetricsOptions): ChangeHandler<RemoteMachine>[] {
  const registers = [registry];
  const watched = (machine: RemoteMachine): boolean => isWatched(machine.metadata, options.watchFilter);
  const phases = new Gauge({
    name: 'capremote_machines',
    help: 'RemoteMachines by the phase of their run. Pending: waits for something or connects. Claimed, Running: its run has the host. Ready: provisioned. Failed: takes a person to go on. Deleting: its host is cleaned.',
    labelNames: ['namespace', 'phase'],
    registers,
  });
  const reasons = new Gauge({
    name: 'capremote_machines_not_ready',
    help: 'RemoteMachines whose condition Ready is not True, by its reason.',
    labelNames: ['namespace', 'reason'],
    registers,
  });
  const namespaceOf = ({ metadata }: RemoteMachine): string => metadata.namespace ?? '';
  return [
    countByState(phases, { label: 'phase', states: MACHINE_PHASES }, (machine) =>
      watched(machine) ? { namespace: namespaceOf(machine), phase: phaseOf(machine) } : undefined,
    ),
    countBy(reasons, (machine) => {
      const ready = getCondition(machine.status?.conditions, CONDITION.Ready);
      const counts = ready !== undefined && ready.status !== 'True' && watched(machine);
      return counts ? { namespace: namespaceOf(machine), reason: ready.reason } : undefined;
    }),
    runMetrics(registers, options, watched),
  ];
}

/** Of what a status tells for the first time. Every version of an object comes once, whether a write or the watch brought it. */
function runMetrics(
  registers: Registry[],
  { now, works }: MachineMetricsOptions,
  watched: (machine: RemoteMachine) => boolean,
): ChangeHandler<RemoteMachine> {
  const runs = new Counter({
    name: 'capremote_runs_total',
    help: 'Runs of bootstrap data that ended, by result: Succeeded, or the reason of the failure.',
    labelNames: ['result'],
    registers,
  });
  for (const result of RUN_RESULTS) runs.inc({ result }, 0);
  const durations = new Histogram({
    name: 'capremote_run_duration_seconds',
    help: 'Seconds from the start of a run on its host to its success.',
    buckets: BUCKETS,
    registers,
  });
  const ready = new Histogram({
    name: 'capremote_machine_ready_seconds',
    help: 'Seconds from the creation of a RemoteMachine until it was provisioned, including all that it waited for.',
    buckets: BUCKETS,
    registers,
  });
  return ({ type, object, old }) => {
    if (type !== 'updated' || !works() || !watched(object)) return;
    const [before, after] = [old?.status, object.status];
    const run = after?.bootstrap;
    const isNews = run?.phase !== before?.bootstrap?.phase || run?.runID !== before?.bootstrap?.runID;
    if (isNews && (run?.phase === 'Succeeded' || run?.phase === 'Failed')) {
      const result = run.phase === 'Succeeded' ? run.phase : (RUN_RESULTS.find((each) => each === after?.failureReason) ?? 'Other');
      runs.inc({ result });
      const { startedAt = '', finishedAt = '' } = run;
      const seconds = (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
      if (run.phase === 'Succeeded' && seconds >= 0) durations.observe(seconds);
    }
    // One that was moved here, or restored, was provisioned long ago.
    if (before?.ready !== true && after?.ready === true && run?.phase === 'Succeeded')
      ready.observe(Math.max(0, now().getTime() - Date.parse(object.metadata.creationTimestamp)) / 1000);
  };
}
