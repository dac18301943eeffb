/** Cleans the host of a machine's run in the background, as a deletion and a retry need it. */
import { REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { ReclaimOutcome } from '../../runner/execution.ts';
import type { HostKey } from '../../ssh/types.ts';
import { trustOf } from '../../pool/host-key-pins.ts';
import { hostSpecOf } from '../hosts/access.ts';
import type { Attempts } from '../hosts/attempts.ts';
import { failureOf } from '../hosts/failure.ts';
import type { HostOutcome } from '../hosts/tasks.ts';
import { outputFilter } from './bootstrap-data.ts';
import { limitsOf } from './bootstrap.ts';
import type { MachineDeps } from './deps.ts';
import { lastOutput } from './run-failure.ts';
import type { MachineScope } from './scope.ts';

export type Cleaning =
  /** since: Unix milliseconds of the beginning of this attempt. */
  | { state: 'underWay'; message: string; since: number }
  /** Tried again in `wait` milliseconds. */
  | { state: 'failed'; reason: Reason; message: string; wait: number }
  /** Nothing of the run is left on the host; ran: something had to be cleaned. */
  | { state: 'clean'; ran: boolean; hostKey: HostKey };

export type FailedCleaning = Extract<Cleaning, { state: 'failed' }>;

export class HostCleaning {
  readonly #deps: MachineDeps;
  readonly #attempts: Attempts;
  /** ID of a cleanup -> when the attempt that goes on began. */
  readonly #since = new Map<string, number>();

  constructor(deps: MachineDeps, attempts: Attempts) {
    this.#deps = deps;
    this.#attempts = attempts;
  }

  /** How far the cleanup of the run is; it is started where it is due. To be asked again whenever the machine is reconciled. */
  async run(scope: MachineScope, runID: string): Promise<Cleaning> {
    const id = `clean/${runID}`;
    const task = this.#deps.tasks.peek(scope.task);
    if (task?.id === id) {
      if (task.state.phase === 'done') return this.#ended(scope, id, task.state.result);
      if (task.state.phase === 'failed') {
        this.#deps.tasks.forget(scope.task);
        return this.#failed(scope, id, failureOf(task.state.error, this.#about(scope)));
      }
      return this.#underWay(id, task.state.phase === 'running' ? task.state.progress?.command : undefined);
    }
    const pending = this.#attempts.pending(id, scope.version);
    if (pending !== undefined) return { state: 'failed', ...pending.failure, wait: pending.wait };
    try {
      await this.#start(scope, runID, id);
    } catch (error) {
      return this.#failed(scope, id, failureOf(error, this.#about(scope)));
    }
    this.#since.set(id, Date.now());
    return this.#underWay(id, undefined);
  }

  #underWay(id: string, command: string | undefined): Cleaning {
    const message = command === undefined ? 'Connecting to the host to clean it' : `${command} runs`;
    return { state: 'underWay', message, since: this.#since.get(id) ?? Date.now() };
  }

  /** Something other than the host keeps it from being cleaned: counts as an attempt. */
  impossible(scope: MachineScope, reason: Reason, message: string): FailedCleaning {
    const id = `clean/${scope.uid}`;
    const pending = this.#attempts.pending(id, scope.version);
    return pending === undefined ? this.#failed(scope, id, { reason, message }) : { state: 'failed', reason, message, wait: pending.wait };
  }

  /** The cleanup was taken note of. */
  forget(scope: MachineScope, runID: string | undefined): void {
    this.#attempts.succeeded(`clean/${runID ?? scope.uid}`);
    this.#since.delete(`clean/${runID ?? ''}`);
    if (this.#deps.tasks.peek(scope.task)?.id === `clean/${runID ?? ''}`) this.#deps.tasks.forget(scope.task);
  }

  async #start(scope: MachineScope, runID: string, id: string): Promise<void> {
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    if (spec === undefined) throw new Error(`RemoteMachine ${scope.key} lost its address`);
    const access = await this.#deps.access.read(scope.name.namespace, spec, trustOf(scope.machine, scope.entry), scope.signal);
    const filter = outputFilter(undefined, undefined, access);
    this.#deps.tasks.ensure(scope.task, id, limitsOf(spec), async (work): Promise<HostOutcome> => {
      const outcome = await this.#deps.executor.reclaim(access, (holder) => holder.runID === runID, work);
      return {
        work: 'clean',
        outcome: outcome.outcome === 'Failed' ? { ...outcome, outputTail: lastOutput(outcome.outputTail, filter) } : outcome,
      };
    });
  }

  #ended(scope: MachineScope, id: string, result: HostOutcome): Cleaning {
    if (result.work !== 'clean') throw new Error(`RemoteMachine ${scope.key} was bootstrapped under the ID of its cleanup`);
    const { outcome } = result;
    // A claim of another run is none of ours: ours is gone.
    if (outcome.outcome === 'InUse') return { state: 'clean', ran: false, hostKey: outcome.hostKey };
    if (outcome.outcome === 'Clean') return { state: 'clean', ran: outcome.ran, hostKey: outcome.hostKey };
    this.#deps.tasks.forget(scope.task);
    return this.#failed(scope, id, unclean(outcome));
  }

  #failed(scope: MachineScope, id: string, { reason, message }: { reason: Reason; message: string }): FailedCleaning {
    const { wait } = this.#attempts.failed(id, scope.version, { reason, message, terminal: false, concerns: 'host' });
    return { state: 'failed', reason, message, wait };
  }

  #about(scope: MachineScope): Parameters<typeof failureOf>[1] {
    return { namespace: scope.name.namespace, spec: hostSpecOf(scope.machine.spec, scope.entry) };
  }
}

function unclean(outcome: Extract<ReclaimOutcome, { outcome: 'Failed' | 'NoCleanupKnown' }>): { reason: Reason; message: string } {
  if (outcome.outcome === 'Failed') {
    return { reason: REASON.CleanupFailed, message: `${outcome.command}: ${outcome.message}${outcome.outputTail}` };
  }
  const message =
    'Something ran on the host and nothing says how to clean it: clean it by hand, and remove /var/lib/cluster-api-provider-remote/claim there';
  return { reason: REASON.NoCleanupKnown, message };
}
