/** Phase: the machine is deleted: its host is cleaned, confirmed, and given back. Needs neither Machine, Cluster nor bootstrap data. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { ANNOTATION, MACHINE_FINALIZER, PEER_MACHINE_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { isNotFound, type Result } from '../../framework/types.ts';
import type { EntryMark } from '../../pool/entry-status.ts';
import { endpointOf } from '../../pool/identity.ts';
import { hostSpecOf } from '../hosts/access.ts';
import { durationOf } from '../hosts/duration.ts';
import { isLostWithNamespace } from '../hosts/namespace.ts';
import type { Cleaning, FailedCleaning, HostCleaning } from './cleaning.ts';
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

  constructor(deps: MachineDeps, cleaning: HostCleaning) {
    this.#deps = deps;
    this.#cleaning = cleaning;
  }

  async run(scope: MachineScope): Promise<DeletionResult> {
    const held = scope.machine.metadata.finalizers?.some((finalizer) => FINALIZERS.includes(finalizer)) === true;
    if (!held || isMovedAway(scope.machine)) return 'gone';
    scope.entry = this.#deps.allocator.entryOf(scope.machine);
    const runID = scope.machine.metadata.annotations?.[ANNOTATION.runID];
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    // The run ID is written before the first contact: without it nothing of ours is on any host.
    const untouched = runID === undefined && scope.machine.spec?.providerID === undefined;
    if (untouched || spec === undefined) return this.#finish(scope, [mark('True', REASON.NeverClaimed, 'Nothing was done on the host')]);
    if (runID === undefined) {
      const message = 'The host was bootstrapped by another operator, and no run of this one is known';
      const cleaning = this.#cleaning.impossible(scope, REASON.NoCleanupKnown, message);
      return this.#waitOrLetGo(scope, cleaning, undefined);
    }
    return this.#clean(scope, runID);
  }

  async #clean(scope: MachineScope, runID: string): Promise<DeletionResult> {
    const cleaning = await this.#cleaning.run(scope, runID);
    if (cleaning.state === 'underWay') return this.#underWay(scope, cleaning, runID);
    if (cleaning.state === 'failed') return this.#waitOrLetGo(scope, cleaning, runID);
    const clean = cleaning.ran
      ? mark('True', REASON.Cleaned, 'The host was cleaned, confirmed by looking at it')
      : mark('True', REASON.NeverClaimed, 'The host has nothing of the last machine');
    const reachable = { ...mark('True', REASON.Reachable, 'The last contact succeeded'), type: CONDITION.Reachable };
    if (isAccepted(scope, cleaning.hostKey)) {
      const note = `The host key ${cleaning.hostKey.fingerprint} was accepted`;
      this.#deps.events.event(scope.machine, 'Normal', REASON.HostKeyAccepted, CONDITION.CleanedUp, note);
    }
    return this.#finish(scope, [clean, reachable], cleaning.hostKey.publicKey);
  }

  /** A cleanup that hangs holds the machine no longer than the deadline either; one that began late has as much time of its own. */
  async #underWay(scope: MachineScope, { message, since }: UnderWay, runID: string): Promise<DeletionResult> {
    const left = Math.max(this.#left(scope), since + this.#deadline(scope) - Date.now());
    if (left <= 0) {
      await this.#deps.tasks.abort(scope.task);
      return this.#letGo(scope, { reason: REASON.CleanupFailed, message: `The cleanup did not end: ${message}` }, runID);
    }
    scope.wait(CONDITION.CleanedUp, REASON.CleaningUp, message);
    return left === Infinity ? {} : { requeueAfter: left };
  }

  /** Until the deadline it is tried again, unless the key went with its namespace. */
  async #waitOrLetGo(scope: MachineScope, cleaning: FailedCleaning, runID: string | undefined): Promise<DeletionResult> {
    const left = this.#left(scope);
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
    runID: string | undefined,
  ): Promise<DeletionResult> {
    const { entry } = scope;
    const note = `The host could not be cleaned in time and may hold what the machine left: ${message}`;
    if (entry !== undefined) await this.#deps.allocator.quarantine(entry, runID ?? scope.uid, mark('False', reason, message));
    this.#deps.events.event(scope.machine, 'Warning', REASON.CleanupDeadlineExceeded, CONDITION.CleanedUp, note);
    return this.#removeFinalizers(scope);
  }

  /** Milliseconds until the machine is let go; Infinity: never. */
  #left(scope: MachineScope): number {
    return Date.parse(scope.machine.metadata.deletionTimestamp ?? '') + this.#deadline(scope) - Date.now();
  }

  #deadline({ machine }: MachineScope): number {
    return (durationOf(machine.metadata.annotations?.[REQUEST.cleanupDeadline]) ?? this.#deps.settings.cleanupDeadline) || Infinity;
  }

  async #finish(scope: MachineScope, marks: EntryMark[], hostKey?: string): Promise<DeletionResult> {
    const { entry, machine } = scope;
    if (entry !== undefined) await this.#deps.allocator.release(entry, machine, marks, hostKey);
    const spec = hostSpecOf(machine.spec, entry);
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
    this.#cleaning.forget(scope, scope.machine.metadata.annotations?.[ANNOTATION.runID]);
    return 'gone';
  }
}

const mark = (status: EntryMark['status'], reason: Reason, message: string): EntryMark => ({
  type: CONDITION.Clean,
  status,
  reason,
  message,
});
