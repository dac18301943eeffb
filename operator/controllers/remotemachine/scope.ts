/** What one reconcile of a RemoteMachine works on: the object, what it belongs to, and the status that is being drawn up. */
import { CONDITION, type ConditionType, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { REQUEST } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import type { Condition } from '../../../apis/infrastructure/status.ts';
import { keyOf } from '../../../apis/meta.ts';
import type { Cluster, Machine } from '../../../apis/cluster/types.ts';
import { clip, setCondition } from '../../framework/conditions.ts';
import type { Logger, Result } from '../../framework/types.ts';
import { MESSAGE_LIMIT } from '../../pool/entry-status.ts';
import type { Failure } from '../hosts/failure.ts';
import { taskKey } from '../hosts/tasks.ts';

export type MachineStatus = NonNullable<RemoteMachine['status']>;

/** A phase says `undefined` to go on with the next one, or how the reconcile ends. */
export type Phase = (scope: MachineScope) => Promise<Result | undefined>;

/** Queued behind others of the same bastion or host, or of all; see the flags --max-connections…. */
export const AWAITS_CONNECTION =
  'Waiting until fewer SSH connections are open, in all or through its bastion (--max-connections, --max-connections-per-bastion)';

export class MachineScope {
  /** As last read or written. */
  machine: RemoteMachine;
  owner: Machine | undefined;
  cluster: Cluster | undefined;
  /** The entry that it is bound to, while that exists. */
  entry: PooledRemoteMachine | undefined;
  status: MachineStatus;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The API server's time. */
  readonly now: Date;

  constructor(machine: RemoteMachine, { log, signal, now }: { log: Logger; signal: AbortSignal; now: Date }) {
    this.machine = machine;
    this.status = structuredClone(machine.status ?? {});
    this.log = log;
    this.signal = signal;
    this.now = now;
  }

  get uid(): string {
    return this.machine.metadata.uid;
  }
  /** Key of what runs over SSH for it. */
  get task(): string {
    return taskKey('machine', this.machine);
  }
  get key(): string {
    return keyOf(this.machine);
  }
  get name(): { namespace: string; name: string } {
    return { namespace: this.machine.metadata.namespace ?? '', name: this.machine.metadata.name };
  }
  get deleting(): boolean {
    return this.machine.metadata.deletionTimestamp !== undefined;
  }

  /** What an attempt on the host depends on: another spec or an accepted host key is tried at once. */
  get version(): string {
    const of = (object: RemoteMachine | PooledRemoteMachine | undefined): string =>
      `${object?.metadata.uid ?? ''}/${object?.metadata.generation ?? 0}/${object?.metadata.annotations?.[REQUEST.acceptHostKey] ?? ''}`;
    return `${of(this.machine)} ${of(this.entry)}`;
  }

  mark(type: ConditionType, status: Condition['status'], reason: Reason, message: string): void {
    const generation = this.machine.metadata.generation;
    this.status.conditions = setCondition(
      this.status.conditions,
      { type, status, reason, message: clip(message, MESSAGE_LIMIT), ...(generation !== undefined && { observedGeneration: generation }) },
      this.now,
    );
  }

  condition(type: ConditionType): Condition | undefined {
    return this.status.conditions?.find((condition) => condition.type === type);
  }

  /** Something is awaited or under way: the condition is Unknown, and so is Ready. */
  wait(type: ConditionType, reason: Reason, message: string): void {
    this.mark(type, 'Unknown', reason, message);
    this.#ready('Unknown', reason, message);
  }

  /** Failed: Ready is False where that is final, Unknown where it is tried again. */
  fail(type: ConditionType, failure: Pick<Failure, 'reason' | 'message' | 'terminal'>): void {
    const { reason, message, terminal } = failure;
    this.mark(type, terminal || type === CONDITION.HostReachable ? 'False' : 'Unknown', reason, message);
    this.#ready(terminal ? 'False' : 'Unknown', reason, message);
  }

  succeed(message: string): void {
    this.#ready('True', REASON.Provisioned, message);
  }

  /** A failed run stays told in failureReason and failureMessage until it is retried, whatever is awaited meanwhile. */
  #ready(status: Condition['status'], reason: Reason, message: string): void {
    this.mark(CONDITION.Ready, status, reason, message);
    if (status === 'False') {
      this.status.failureReason = reason;
      this.status.failureMessage = clip(message, MESSAGE_LIMIT);
    } else if (this.status.bootstrap?.phase !== 'Failed') {
      delete this.status.failureReason;
      delete this.status.failureMessage;
    }
  }
}
