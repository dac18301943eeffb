/** Phase: the machine is deleted: its host is cleaned, confirmed, and given back. Needs neither Machine, Cluster nor bootstrap data. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { ANNOTATION, MACHINE_FINALIZER, PEER_MACHINE_FINALIZER, REQUEST } from '../../../apis/infrastructure/group.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { isNotFound, type Result } from '../../framework/types.ts';
import type { EntryMark } from '../../pool/entry-status.ts';
import { endpointOf } from '../../pool/identity.ts';
import { hostSpecOf, pinnedKeys } from '../hosts/access.ts';
import type { Attempts } from '../hosts/attempts.ts';
import { durationOf } from '../hosts/duration.ts';
import { failureOf } from '../hosts/failure.ts';
import { outputFilter } from './bootstrap-data.ts';
import { limitsOf } from './bootstrap.ts';
import type { HostOutcome } from '../hosts/tasks.ts';
import type { MachineDeps } from './deps.ts';
import { isMovedAway } from './owner.ts';
import type { MachineScope } from './scope.ts';

const FINALIZERS = [MACHINE_FINALIZER, PEER_MACHINE_FINALIZER];

/** `gone`: the finalizers are removed and there is no status left to write. */
export type DeletionResult = Result | 'gone';

export class Deletion {
  readonly #deps: MachineDeps;
  readonly #attempts: Attempts;

  constructor(deps: MachineDeps, attempts: Attempts) {
    this.#deps = deps;
    this.#attempts = attempts;
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
      return this.#later(
        scope,
        REASON.NoCleanupKnown,
        'The host was bootstrapped by another operator, and no run of this one is known',
        undefined,
      );
    }
    return this.#clean(scope, runID);
  }

  async #clean(scope: MachineScope, runID: string): Promise<DeletionResult> {
    const id = `clean/${runID}`;
    const task = this.#deps.tasks.peek(scope.task);
    if (task?.id === id) {
      const { state } = task;
      if (state.phase === 'done') {
        this.#deps.tasks.forget(scope.task);
        return this.#cleaned(scope, runID, state.result);
      }
      if (state.phase === 'failed') {
        this.#deps.tasks.forget(scope.task);
        const { reason, message } = failureOf(state.error);
        return this.#later(scope, reason, message, runID);
      }
      const command = state.phase === 'running' ? state.progress?.command : undefined;
      return this.#underWay(scope, command === undefined ? 'Connecting to the host to clean it' : `${command} runs`);
    }
    const pending = this.#attempts.pending(id, '');
    if (pending !== undefined) return this.#waitOrLetGo(scope, pending.failure.reason, pending.failure.message, runID, pending.wait);
    try {
      await this.#start(scope, runID, id);
    } catch (error) {
      const { reason, message } = failureOf(error);
      return this.#later(scope, reason, message, runID);
    }
    return this.#underWay(scope, 'Connecting to the host to clean it');
  }

  async #start(scope: MachineScope, runID: string, id: string): Promise<void> {
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    if (spec === undefined) throw new Error(`RemoteMachine ${scope.key} lost its address`);
    const access = await this.#deps.access.read(scope.name.namespace, spec, pinnedKeys(scope.machine, scope.entry), scope.signal);
    const filter = outputFilter(undefined, undefined, access);
    this.#deps.tasks.ensure(scope.task, id, limitsOf(spec), async (work): Promise<HostOutcome> => {
      const outcome = await this.#deps.executor.reclaim(access, (holder) => holder.runID === runID, work);
      return { work: 'clean', outcome: outcome.outcome === 'Failed' ? { ...outcome, outputTail: filter(outcome.outputTail) } : outcome };
    });
  }

  async #cleaned(scope: MachineScope, runID: string, result: HostOutcome): Promise<DeletionResult> {
    if (result.work !== 'clean') throw new Error(`RemoteMachine ${scope.key} was bootstrapped under the ID of its cleanup`);
    const { outcome } = result;
    // A claim of another run is none of ours: ours is gone.
    if (outcome.outcome === 'Clean' || outcome.outcome === 'InUse') {
      const clean =
        outcome.outcome === 'Clean' && outcome.ran
          ? mark('True', REASON.Cleaned, 'The host was cleaned, confirmed by looking at it')
          : mark('True', REASON.NeverClaimed, 'The host has nothing of the last machine');
      return this.#finish(
        scope,
        [clean, { ...mark('True', REASON.Reachable, 'The last contact succeeded'), type: CONDITION.Reachable }],
        outcome.hostKey.publicKey,
      );
    }
    if (outcome.outcome === 'NoCleanupKnown') {
      const message =
        'Something ran on the host and nothing says how to clean it: set cleanUpCommands, or clean it by hand and force its release';
      return this.#later(scope, REASON.NoCleanupKnown, message, runID);
    }
    const tail = outcome.outputTail.trim() === '' ? '' : `. Last output:\n${outcome.outputTail.trim()}`;
    return this.#later(scope, REASON.CleanupFailed, `${outcome.command}: ${outcome.message}${tail}`, runID);
  }

  #underWay(scope: MachineScope, message: string): Result {
    scope.wait(CONDITION.CleanedUp, REASON.CleaningUp, message);
    const deadline = this.#deadline(scope);
    return deadline === undefined ? {} : { requeueAfter: Math.max(1_000, deadline - Date.now()) };
  }

  async #later(scope: MachineScope, reason: Reason, message: string, runID: string | undefined): Promise<DeletionResult> {
    const id = `clean/${runID ?? scope.uid}`;
    const attempt = this.#attempts.failed(id, '', { reason, message, terminal: false, concerns: 'host' });
    return this.#waitOrLetGo(scope, reason, message, runID, attempt.wait);
  }

  /** Until the deadline it is tried again; then the machine goes and its entry stays in quarantine. */
  async #waitOrLetGo(
    scope: MachineScope,
    reason: Reason,
    message: string,
    runID: string | undefined,
    wait: number,
  ): Promise<DeletionResult> {
    const deadline = this.#deadline(scope);
    const left = deadline === undefined ? Infinity : deadline - Date.now();
    if (left > 0) {
      scope.fail(CONDITION.CleanedUp, { reason, message, terminal: false });
      return { requeueAfter: Math.min(wait, left) };
    }
    const { entry } = scope;
    const note = `The host could not be cleaned in time and may hold what the machine left: ${message}`;
    if (entry !== undefined) await this.#deps.allocator.quarantine(entry, runID ?? scope.uid, mark('False', reason, message));
    this.#deps.events.event(scope.machine, 'Warning', REASON.CleanupDeadlineExceeded, CONDITION.CleanedUp, note);
    return this.#removeFinalizers(scope);
  }

  /** Unix milliseconds; undefined: never. */
  #deadline(scope: MachineScope): number | undefined {
    const after = durationOf(scope.machine.metadata.annotations?.[REQUEST.cleanupDeadline]) ?? this.#deps.settings.cleanupDeadline;
    return after === 0 ? undefined : Date.parse(scope.machine.metadata.deletionTimestamp ?? '') + after;
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
    const runID = scope.machine.metadata.annotations?.[ANNOTATION.runID];
    this.#attempts.succeeded(`clean/${runID ?? scope.uid}`);
    return 'gone';
  }
}

const mark = (status: EntryMark['status'], reason: Reason, message: string): EntryMark => ({
  type: CONDITION.Clean,
  status,
  reason,
  message,
});
