/** Phase: the machine is deleted: its host is cleaned, confirmed, and given back. Needs neither Machine, Cluster nor bootstrap data. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { PAUSED_ANNOTATION } from '../../../apis/cluster/types.ts';
import { ADOPTED, ANNOTATION, MACHINE_FINALIZER, PEER_MACHINE_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { isNotFound, type Result } from '../../framework/types.ts';
import { getCondition } from '../../framework/conditions.ts';
import { names, type SettleOptions } from '../../pool/allocator.ts';
import type { EntryMark } from '../../pool/entry-status.ts';
import { newRunID } from '../../pool/machine-patch.ts';
import { endpointOf } from '../../pool/identity.ts';
import { durationOf } from '../hosts/duration.ts';
import { claimedBy } from '../hosts/failure.ts';
import { isLostWithNamespace } from '../hosts/namespace.ts';
import { type Cleaning, type FailedCleaning, type HostCleaning, isAdopted } from './cleaning.ts';
import type { MachineDeps } from './deps.ts';
import { isAccepted } from './host-key.ts';
import { isMovedAway } from './owner.ts';
import type { MachineScope } from './scope.ts';

const FINALIZERS = [MACHINE_FINALIZER, PEER_MACHINE_FINALIZER];

type UnderWay = Extract<Cleaning, { state: 'underWay' }>;

/** `gone`: the finalizers are removed and there is no status left to write. */
export type DeletionResult = Result | 'gone';

export class Deletion {
  readonly #deps: MachineDeps;
  readonly #cleaning: HostCleaning;
  /** UIDs of machines that are let go, while the cache does not tell yet: their hosts may be others' by now. */
  readonly #gone = new Set<string>();

  constructor(deps: MachineDeps, cleaning: HostCleaning) {
    this.#deps = deps;
    this.#cleaning = cleaning;
  }

  async run(scope: MachineScope): Promise<DeletionResult> {
    const held = scope.machine.metadata.finalizers?.some((finalizer) => FINALIZERS.includes(finalizer)) === true;
    if (!held || this.#gone.has(scope.uid) || isMovedAway(scope.machine)) return 'gone';
    scope.entry = this.#deps.allocator.entryOf(scope.machine);
    const runID = scope.machine.metadata.annotations?.[ANNOTATION.runID];
    // What is about to connect must not, before it is asked whether anything has.
    if (runID !== undefined && this.#deps.tasks.peek(scope.task)?.id === runID) await this.#deps.tasks.abort(scope.task);
    const spec = this.#cleaning.hostOf(scope, runID);
    const untouched = this.#deps.allocator.isUntouched(scope.machine) && !isOfAnotherOperator(scope);
    if (untouched || spec === undefined) {
      const clean = mark('True', REASON.NeverClaimed, 'Nothing was done on the host');
      // What kept the machine from its host keeps the next one from it, too.
      const known = getCondition(scope.entry?.status?.conditions, CONDITION.Clean);
      return this.#finish(scope, [
        known?.status === 'False' ? { ...clean, ...known, type: CONDITION.Clean, reason: known.reason as Reason } : clean,
      ]);
    }
    if (scope.entry?.metadata.annotations?.[PAUSED_ANNOTATION] !== undefined) return this.#entryPaused(scope, scope.entry);
    return this.#clean(scope, runID ?? (await this.#adopt(scope)));
  }

  /** Written down before the host is asked for anything, as the ID of any run. */
  async #adopt(scope: MachineScope): Promise<string> {
    const { name, resourceVersion } = scope.machine.metadata;
    const runID = newRunID(name);
    const metadata = { resourceVersion, annotations: { [ANNOTATION.runID]: runID, [ANNOTATION.adopted]: runID } };
    scope.machine = await this.#deps.client.patch<RemoteMachine>(REMOTE_MACHINES, scope.name, { metadata });
    return runID;
  }

  async #entryPaused(scope: MachineScope, { metadata }: PooledRemoteMachine): Promise<Result> {
    await this.#deps.tasks.abort(scope.task);
    scope.wait(CONDITION.CleanedUp, REASON.Paused, `PooledRemoteMachine ${metadata.name} is paused: its host is not cleaned`);
    return {};
  }

  async #clean(scope: MachineScope, runID: string): Promise<DeletionResult> {
    const cleaning = await this.#cleaning.run(scope, runID);
    if (cleaning.state === 'underWay') return this.#underWay(scope, cleaning, runID);
    if (cleaning.state === 'failed') return this.#waitOrLetGo(scope, cleaning, runID);
    const clean = ((): EntryMark => {
      const { holder } = cleaning;
      if (holder !== undefined) return mark('False', REASON.HostInUse, claimedBy(holder));
      if (cleaning.ran) return mark('True', REASON.Cleaned, 'The host was cleaned, confirmed by looking at it');
      // Whoever looked last was cut off between the host's cleanup and what was to be told of it.
      if (hasRun(scope.machine)) return mark('True', REASON.Cleaned, 'The host has nothing of the last machine any more');
      return mark('True', REASON.NeverClaimed, 'The host has nothing of the last machine');
    })();
    const reachable = { ...mark('True', REASON.Reachable, 'The last contact succeeded'), type: CONDITION.Reachable };
    if (isAccepted(scope, cleaning.hostKey)) {
      const note = `The host key ${cleaning.hostKey.fingerprint} was accepted`;
      this.#deps.events.event(scope.machine, 'Normal', REASON.HostKeyAccepted, CONDITION.CleanedUp, note);
    }
    return this.#finish(scope, [clean, reachable], { hostKey: cleaning.hostKey.publicKey });
  }

  /**
   * A cleanup that hangs holds the machine no longer than the deadline either; one that began late has as much time of its own. Why the
   * one before it failed is told until it ends better.
   */
  async #underWay(scope: MachineScope, { message, since, last }: UnderWay, runID: string): Promise<DeletionResult> {
    const left = Math.max(this.#left(scope, this.#deadline(scope)), since + this.#deadline(scope) - scope.now.getTime());
    if (left <= 0) {
      await this.#deps.tasks.abort(scope.task);
      return this.#letGo(scope, last ?? { reason: REASON.CleanupFailed, message: `The cleanup did not end: ${message}` }, runID);
    }
    if (last === undefined) scope.wait(CONDITION.CleanedUp, REASON.CleaningUp, message);
    else scope.fail(CONDITION.CleanedUp, last);
    return left === Infinity ? {} : { requeueAfter: left };
  }

  /** Until the deadline it is tried again, unless the key went with its namespace. */
  async #waitOrLetGo(scope: MachineScope, cleaning: FailedCleaning, runID: string): Promise<DeletionResult> {
    const left = this.#left(scope, this.#deadline(scope));
    if (left <= 0 || (await isLostWithNamespace(this.#deps.client, scope.name.namespace, cleaning))) {
      return this.#letGo(scope, cleaning, runID);
    }
    scope.fail(CONDITION.CleanedUp, { ...cleaning, terminal: false });
    return { requeueAfter: Math.min(cleaning.wait, left) };
  }

  /** The machine goes and its entry stays in quarantine. */
  async #letGo(
    scope: MachineScope,
    { reason, message }: Pick<FailedCleaning, 'reason' | 'message'>,
    runID: string,
  ): Promise<DeletionResult> {
    const { entry, machine } = scope;
    const note = `The host could not be cleaned in time and may hold what the machine left: ${message}`;
    // Its status may have been lost in a move; another machine's it must not be.
    const isIts = entry !== undefined && (names(entry, machine) || entry.status?.reserved !== true);
    if (isIts)
      await this.#deps.allocator.quarantine(
        entry,
        machine,
        (isAdopted(machine, runID) ? ADOPTED : '') + runID,
        mark('False', reason, message),
      );
    this.#deps.events.event(scope.machine, 'Warning', REASON.CleanupDeadlineExceeded, CONDITION.CleanedUp, note);
    return this.#removeFinalizers(scope);
  }

  /** Milliseconds until the machine is let go; Infinity: never. After a pause it has the whole time again. */
  #left({ machine, status, entry, now }: MachineScope, deadline: number): number {
    const unpaused = [status, entry?.status].map((of) => {
      const paused = getCondition(of?.conditions, CONDITION.Paused);
      if (paused?.status === 'True') return now.getTime(); // its end is still to be told
      return paused === undefined ? 0 : Date.parse(paused.lastTransitionTime);
    });
    return Math.max(Date.parse(machine.metadata.deletionTimestamp ?? ''), ...unpaused) + deadline - now.getTime();
  }

  #deadline({ machine }: MachineScope): number {
    return (durationOf(machine.metadata.annotations?.[REQUEST.cleanupDeadline]) ?? this.#deps.settings.cleanupDeadline) || Infinity;
  }

  async #finish(scope: MachineScope, marks: EntryMark[], along: SettleOptions = {}): Promise<DeletionResult> {
    const { entry, machine } = scope;
    if (entry !== undefined) await this.#deps.allocator.release(entry, machine, marks, along);
    const spec = this.#cleaning.hostOf(scope, machine.metadata.annotations?.[ANNOTATION.runID]);
    const what = marks[0]?.message ?? '';
    const host = spec === undefined ? 'it never had a host' : `host ${endpointOf(spec)}`;
    this.#deps.events.event(
      machine,
      'Normal',
      entry === undefined ? REASON.Cleaned : REASON.Released,
      CONDITION.CleanedUp,
      `${what}; ${host}`,
    );
    return this.#removeFinalizers(scope);
  }

  async #removeFinalizers(scope: MachineScope): Promise<'gone'> {
    const { finalizers = [], resourceVersion } = scope.machine.metadata;
    const left = finalizers.filter((finalizer) => !FINALIZERS.includes(finalizer));
    try {
      await this.#deps.client.patch(REMOTE_MACHINES, scope.name, { metadata: { resourceVersion, finalizers: left } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    this.#gone.add(scope.uid);
    this.#cleaning.forget(scope, scope.machine.metadata.annotations?.[ANNOTATION.runID]);
    return 'gone';
  }

  forget(uid: string): void {
    this.#gone.delete(uid);
  }
}

/** Whether k0smotron's provider bootstrapped the host, or may have begun to. */
const isOfAnotherOperator = ({ machine: { metadata, spec } }: MachineScope): boolean =>
  spec?.providerID !== undefined || metadata.finalizers?.includes(PEER_MACHINE_FINALIZER) === true;

/** Whether it is known that its run had the host. */
const hasRun = ({ spec, status }: RemoteMachine): boolean => spec?.providerID !== undefined || status?.bootstrap !== undefined;

const mark = (status: EntryMark['status'], reason: Reason, message: string): EntryMark => ({
  type: CONDITION.Clean,
  status,
  reason,
  message,
});
