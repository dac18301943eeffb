/** Writes a RemoteMachine's status: what changed, not more often than a person can read it, with an Event for each change of a condition. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { Condition } from '../../../apis/infrastructure/status.ts';
import { getCondition } from '../../framework/conditions.ts';
import { mergePatch } from '../../framework/patch.ts';
import { type Client, type EventRecorder, isNotFound, type Result } from '../../framework/types.ts';
import type { MachineScope, MachineStatus } from './scope.ts';

/**
 * A wait that is over within this time is not worth a request; ms. Cluster API core touches a Machine once a second at most, so that a
 * RemoteMachine has its owner two seconds after both were created.
 */
const SETTLE = 3_000;
/** Progress (other words, facts, the next command) is written at most this often; ms. */
const PROGRESS = 20_000;

interface Pace {
  /** When the stored status first differed from what is so. */
  differsSince?: number;
  writtenAt?: number;
}

/** Reasons of Unknown that are part of the normal way. */
const EXPECTED: ReadonlySet<string> = new Set<Reason>([
  REASON.WaitingForOwnerMachine,
  REASON.WaitingForCluster,
  REASON.WaitingForClusterInfrastructure,
  REASON.WaitingForBootstrapData,
  REASON.WaitingForHost,
  REASON.WaitingForNode,
  REASON.WaitingForConnection,
  REASON.WaitingForCleanup,
  REASON.KubeconfigNotFound,
  REASON.Connecting,
  REASON.NotContacted,
  REASON.BootstrapRunning,
  REASON.CleaningUp,
  REASON.Deleting,
  REASON.Retrying,
]);

export class StatusWriter {
  readonly #client: Client;
  readonly #events: EventRecorder;
  readonly #paces = new Map<string, Pace>();

  constructor(client: Client, events: EventRecorder) {
    this.#client = client;
    this.#events = events;
  }

  /** Writes the scope's status if it is due, guarded by the resourceVersion it was drawn up from. Rejects with ApiError. */
  async write(scope: MachineScope, result: Result | undefined): Promise<Result> {
    const before = scope.machine.status ?? {};
    const change = mergePatch(before, scope.status);
    const pace = this.#paces.get(scope.uid) ?? {};
    if (change === undefined) {
      delete pace.differsSince;
      return result ?? {};
    }
    const now = performance.now();
    pace.differsSince ??= now;
    this.#paces.set(scope.uid, pace);
    const due = dueAt(before, scope.status, pace);
    if (due > now) return sooner(result, due - now);
    const { resourceVersion } = scope.machine.metadata;
    const body = { metadata: { resourceVersion }, status: change };
    try {
      scope.machine = await this.#client.patch<RemoteMachine>(REMOTE_MACHINES, scope.name, body, { subresource: 'status' });
    } catch (error) {
      // Deleted at this moment: the watch will say so.
      if (isNotFound(error)) return {};
      throw error;
    }
    this.#paces.set(scope.uid, { writtenAt: now });
    this.#announce(scope, before);
    return result ?? {};
  }

  forget(uid: string): void {
    this.#paces.delete(uid);
  }

  #announce(scope: MachineScope, before: MachineStatus): void {
    for (const condition of scope.status.conditions ?? []) {
      const old = getCondition(before.conditions, condition.type);
      if (condition.type === CONDITION.Ready || (old?.status === condition.status && old.reason === condition.reason)) continue;
      if (condition.type === CONDITION.Paused && condition.status === 'False' && old === undefined) continue;
      this.#events.event(scope.machine, eventType(condition), condition.reason, condition.type, condition.message);
    }
  }
}

const eventType = (condition: Condition): 'Normal' | 'Warning' => {
  if (condition.type === CONDITION.Paused || condition.status === 'True') return 'Normal';
  return condition.status === 'Unknown' && EXPECTED.has(condition.reason) ? 'Normal' : 'Warning';
};

/** ID of the run that failed for good, if the status tells of one. */
const failedRun = ({ bootstrap }: MachineStatus): string | undefined => (bootstrap?.phase === 'Failed' ? bootstrap.runID : undefined);

/**
 * What somebody acts upon: the machine became ready, failed for good, is tried once more, or was paused; a run that waits to be told of;
 * and a Node that was found, which would else be looked for again.
 */
function isUrgent(before: MachineStatus, after: MachineStatus): boolean {
  const turned = (type: string, among: string[]): boolean => {
    const status = getCondition(after.conditions, type)?.status;
    return status !== undefined && among.includes(status) && status !== getCondition(before.conditions, type)?.status;
  };
  const told =
    turned(CONDITION.Ready, ['True', 'False']) || turned(CONDITION.Paused, ['True']) || turned(CONDITION.NodeProviderIDSet, ['True']);
  const begins = after.bootstrap !== undefined && before.bootstrap?.runID !== after.bootstrap.runID;
  return told || begins || before.ready !== after.ready || failedRun(before) !== failedRun(after);
}

/** Whether a condition is new, or says something else than before and not only in other words. */
function isNews(before: MachineStatus, after: MachineStatus): boolean {
  return (after.conditions ?? []).some(({ type, status, reason }) => {
    const old = getCondition(before.conditions, type);
    return old?.status !== status || old.reason !== reason;
  });
}

/** When a status is to be written, on the clock of performance.now(). */
function dueAt(before: MachineStatus, after: MachineStatus, { differsSince = 0, writtenAt = -Infinity }: Pace): number {
  if (isUrgent(before, after)) return -Infinity;
  const settled = differsSince + SETTLE;
  return isNews(before, after) ? settled : Math.max(settled, writtenAt + PROGRESS);
}

function sooner(result: Result | undefined, milliseconds: number): Result {
  const wait = Math.ceil(milliseconds);
  return { requeueAfter: Math.min(result?.requeueAfter ?? wait, wait) };
}
