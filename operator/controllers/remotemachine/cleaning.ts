/** Cleans the host of a machine's run in the background, as a deletion and a retry need it. */
import { REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { BootstrapDataError } from '../../bootstrap/plan.ts';
import { planCleanup } from '../../cleanup/planner.ts';
import type { CleanupPlan } from '../../cleanup/plan.ts';
import type { ReclaimOutcome } from '../../runner/execution.ts';
import type { Claimant } from '../../runner/types.ts';
import type { HostKey } from '../../ssh/types.ts';
import { trustOf } from '../../pool/host-key-pins.ts';
import { ANNOTATION, PEER_MACHINE_FINALIZER } from '../../../apis/infrastructure/group.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { type AccessResult, cleanUpCommandsOf, type HostSpec } from '../hosts/access.ts';
import type { Attempts } from '../hosts/attempts.ts';
import { failedCleanup, type Failure, failureOf } from '../hosts/failure.ts';
import { type HostOutcome, limitsOf } from '../hosts/tasks.ts';
import { outputFilter, planFor, readBootstrapData, unless } from './bootstrap-data.ts';
import type { MachineDeps } from './deps.ts';
import { lastOutput } from './run-failure.ts';
import { RunHosts } from './run-hosts.ts';
import { AWAITS_CONNECTION, type MachineScope } from './scope.ts';

export type Cleaning =
  /** since: Unix milliseconds of the beginning of this attempt; last: why the one before it failed. */
  | { state: 'underWay'; message: string; since: number; last: Failure | undefined }
  /** Tried again in `wait` milliseconds. */
  | { state: 'failed'; reason: Reason; message: string; wait: number }
  /** Nothing of the run is left on the host; ran: something had to be cleaned; holder: the host is another run's. */
  | { state: 'clean'; ran: boolean; hostKey: HostKey; holder?: Claimant };

export type FailedCleaning = Extract<Cleaning, { state: 'failed' }>;

export class HostCleaning {
  readonly #deps: MachineDeps;
  readonly #attempts: Attempts;
  readonly #hosts: RunHosts;
  /** ID of a cleanup -> when the attempt that goes on left the queue. */
  readonly #since = new Map<string, number>();

  constructor(deps: MachineDeps, attempts: Attempts, hosts = new RunHosts()) {
    this.#deps = deps;
    this.#attempts = attempts;
    this.#hosts = hosts;
  }

  /** How far the cleanup of the run is; it is started where it is due. To be asked again whenever the machine is reconciled. */
  async run(scope: MachineScope, runID: string): Promise<Cleaning> {
    const id = `clean/${runID}`;
    const task = this.#deps.tasks.peek(scope.task);
    if (task?.id === id) {
      if (task.state.phase === 'done') return this.#ended(scope, id, task.state.result);
      if (task.state.phase === 'failed') {
        this.#deps.tasks.forget(scope.task);
        return this.#failed(scope, id, failureOf(task.state.error, this.#about(scope, runID)));
      }
      return this.#underWay(scope, id);
    }
    const pending = this.#attempts.pending(id, scope.version);
    if (pending !== undefined) return { state: 'failed', ...pending.failure, wait: pending.wait };
    try {
      await this.#start(scope, runID, id);
    } catch (error) {
      scope.signal.throwIfAborted();
      return this.#failed(scope, id, failureOf(error, this.#about(scope, runID)));
    }
    this.#since.delete(id);
    return this.#underWay(scope, id);
  }

  /** Where it is cleaned of the run. */
  hostOf(scope: MachineScope, runID: string | undefined): HostSpec | undefined {
    return this.#hosts.specOf(scope, runID);
  }

  #underWay({ now, version, task }: MachineScope, id: string): Cleaning {
    const state = this.#deps.tasks.peek(task)?.state;
    // The time in the queue is not the cleanup's.
    if (state?.phase === 'queued') this.#since.delete(id);
    else if (!this.#since.has(id)) this.#since.set(id, now.getTime());
    const command = state?.phase === 'running' ? state.progress?.command : undefined;
    const message = state?.phase === 'queued' ? AWAITS_CONNECTION : runs(command);
    return { state: 'underWay', message, since: this.#since.get(id) ?? now.getTime(), last: this.#attempts.last(id, version) };
  }

  /** The cleanup was taken note of. */
  forget(scope: MachineScope, runID: string | undefined): void {
    this.#attempts.succeeded(`clean/${runID ?? scope.uid}`);
    this.#since.delete(`clean/${runID ?? ''}`);
    if (this.#deps.tasks.peek(scope.task)?.id === `clean/${runID ?? ''}`) this.#deps.tasks.forget(scope.task);
  }

  async #start(scope: MachineScope, runID: string, id: string): Promise<void> {
    const spec = this.hostOf(scope, runID);
    if (spec === undefined) throw new Error(`RemoteMachine ${scope.key} lost its address`);
    const access = await this.#deps.access.read(scope.name.namespace, spec, trustOf(scope.machine, scope.entry), scope.signal);
    const adopts = isAdopted(scope.machine, runID) ? { runID, machine: { ...scope.name, uid: scope.uid } } : undefined;
    const how = { run: runID, cleanup: cleanupOf(scope, spec), adopts };
    this.#deps.tasks.ensure(scope.task, id, limitsOf(spec), async (work): Promise<HostOutcome> => {
      const outcome = await this.#deps.executor.reclaim(access, (holder) => holder.runID === runID, work, how);
      if (outcome.outcome !== 'Failed') return { work: 'clean', outcome };
      const outputTail = lastOutput(outcome.outputTail, await this.#outputFilter(scope, access, work.signal));
      return { work: 'clean', outcome: { ...outcome, outputTail } };
    });
  }

  /** The data that says what is secret is read only where something is to be shown. */
  async #outputFilter(scope: MachineScope, access: AccessResult, signal: AbortSignal): Promise<(text: string) => string> {
    const secret = scope.owner?.spec?.bootstrap.dataSecretName;
    const read = secret === undefined ? undefined : readBootstrapData(this.#deps.client, scope.name.namespace, secret, signal);
    const data = await read?.catch(() => undefined);
    const instance = { runID: '', name: scope.name.name, failureDomain: undefined };
    const said = { facts: scope.status.host ?? {}, release: {}, libc: '' };
    const plan = data && (await unless(BootstrapDataError, planFor(this.#deps.planner, data, instance, said)));
    return outputFilter(data, plan, access, scope.status.bootstrap?.dataVersion).output;
  }

  #ended(scope: MachineScope, id: string, result: HostOutcome): Cleaning {
    if (result.work !== 'clean') throw new Error(`RemoteMachine ${scope.key} was bootstrapped under the ID of its cleanup`);
    const { outcome } = result;
    // A claim of another run is none of ours: ours is gone.
    if (outcome.outcome === 'InUse') return { state: 'clean', ran: false, hostKey: outcome.hostKey, holder: outcome.holder };
    if (outcome.outcome === 'Clean') return { state: 'clean', ran: outcome.ran, hostKey: outcome.hostKey };
    this.#deps.tasks.forget(scope.task);
    return this.#failed(scope, id, unclean(outcome));
  }

  #failed(scope: MachineScope, id: string, { reason, message }: { reason: Reason; message: string }): FailedCleaning {
    const { wait } = this.#attempts.failed(id, scope.version, { reason, message, terminal: false, concerns: 'host' });
    return { state: 'failed', reason, message, wait };
  }

  #about(scope: MachineScope, runID: string): Parameters<typeof failureOf>[1] {
    return { namespace: scope.name.namespace, spec: this.hostOf(scope, runID) };
  }
}

const runs = (command: string | undefined): string => (command === undefined ? 'Connecting to the host to clean it' : `${command} runs`);

/** Whether another operator bootstrapped the host, or may have begun to, so that a host without a claim is not known to be clean. */
export const isAdopted = ({ metadata, status }: RemoteMachine, runID: string): boolean =>
  metadata.annotations?.[ANNOTATION.adopted] === runID ||
  (metadata.finalizers?.includes(PEER_MACHINE_FINALIZER) === true && status?.bootstrap === undefined);

/** How the machine's host is to be cleaned: its own commands, else what its bootstrap provider needs. */
export function cleanupOf(scope: MachineScope, spec: HostSpec): CleanupPlan | undefined {
  const commands = cleanUpCommandsOf(spec);
  const ref = scope.owner?.spec?.bootstrap.configRef;
  const group = ref?.apiGroup ?? ref?.apiVersion?.split('/')[0] ?? '';
  return planCleanup({ ...(commands && { commands }), ...(ref && { bootstrap: { kind: ref.kind, group } }) });
}

function unclean(outcome: Extract<ReclaimOutcome, { outcome: 'Failed' | 'NoCleanupKnown' }>): { reason: Reason; message: string } {
  if (outcome.outcome === 'Failed') {
    return { reason: REASON.CleanupFailed, message: failedCleanup(outcome) + outcome.outputTail };
  }
  const message =
    'Something ran on the host and nothing says how to clean it: set cleanUpCommands, or clean it by hand and remove /var/lib/cluster-api-provider-remote/claim there';
  return { reason: REASON.NoCleanupKnown, message };
}
