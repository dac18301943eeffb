/** Phase: the host of an entry is cleaned although no machine sees to it. The work goes on in the background; this reads how far it is. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { REQUEST } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { keyOf } from '../../../apis/meta.ts';
import { planCleanup } from '../../cleanup/planner.ts';
import { getCondition } from '../../framework/conditions.ts';
import type { Result } from '../../framework/types.ts';
import { accepts, trustOf } from '../../pool/host-key-pins.ts';
import type { ReclaimOutcome } from '../../runner/execution.ts';
import { cleanUpCommandsOf } from '../hosts/access.ts';
import { Attempts } from '../hosts/attempts.ts';
import { type About, claimedBy, failedCleanup, type Failure, failureOf } from '../hosts/failure.ts';
import { isLostWithNamespace } from '../hosts/namespace.ts';
import { isRunGone } from '../hosts/presence.ts';
import { type HostOutcome, limitsOf, taskKey } from '../hosts/tasks.ts';
import { LAST_OUTPUT } from '../remotemachine/run-failure.ts';
import type { EntryDeps } from './deps.ts';
import type { Cleanup } from './due.ts';
import { isHeld, serves } from './presence.ts';
import { clean, notReachable, reachable, tell } from './status.ts';

export class EntryCleaning {
  readonly #deps: EntryDeps;
  /** From 10 s to 10 min: a host that can't be cleaned mostly waits for a person. */
  readonly #attempts = new Attempts(10_000, 600_000);
  /** From 1 s to 30 s: a Secret that was missing comes without an event. */
  readonly #reads = new Attempts(1_000, 30_000);

  constructor(deps: EntryDeps) {
    this.#deps = deps;
  }

  async run(entry: PooledRemoteMachine, cleanup: Cleanup, signal: AbortSignal): Promise<Result | undefined> {
    const key = taskKey('entry', entry);
    const id = `clean/${cleanup.id}`;
    const task = this.#deps.tasks.peek(key);
    if (task?.id === id) {
      if (task.state.phase !== 'done' && task.state.phase !== 'failed') return this.#underWay(entry);
      const { state } = task;
      const result =
        state.phase === 'done'
          ? await this.#ended(entry, cleanup, state.result)
          : await this.#later(entry, failureOf(state.error, aboutOf(entry)));
      // Once it is written down: a host that was cleaned can't be asked for it again.
      this.#deps.tasks.forget(key);
      return result;
    }
    const { uid, namespace = '' } = entry.metadata;
    const pending = this.#reads.pending(uid, versionOf(entry)) ?? this.#attempts.pending(uid, versionOf(entry));
    if (pending !== undefined) {
      await tell(this.#deps, entry, clean('False', pending.failure.reason, pending.failure.message));
      return { requeueAfter: pending.wait };
    }
    try {
      if (!(await this.#start(entry, key, id, cleanup, signal))) return undefined;
      this.#reads.succeeded(uid);
    } catch (error) {
      const failure = failureOf(error, aboutOf(entry));
      // What the API server did not answer is no fault of the host.
      if (failure.concerns === 'api') throw error;
      if (!(await isLostWithNamespace(this.#deps.client, namespace, failure))) return this.#later(entry, failure, this.#reads);
      await this.#deps.allocator.free(entry, [clean('False', failure.reason, failure.message)]);
      return undefined;
    }
    return this.#underWay(entry);
  }

  forget({ metadata: { uid } }: PooledRemoteMachine): void {
    this.#attempts.succeeded(uid);
    this.#reads.succeeded(uid);
  }

  /** False: its machine is there after all, or it must not be touched, which the caches do not tell yet. */
  async #start(entry: PooledRemoteMachine, key: string, id: string, cleanup: Cleanup, signal: AbortSignal): Promise<boolean> {
    if (entry.spec === undefined || (await serves(this.#deps, entry, signal)) || (await isHeld(this.#deps, entry, signal))) return false;
    const spec = entry.spec.machine;
    const access = await this.#deps.access.read(entry.metadata.namespace ?? '', spec, trustOf(undefined, entry), signal);
    const commands = cleanUpCommandsOf(spec);
    const { client, cleanupTimeout: timeout } = this.#deps;
    const how = { cleanup: commands && planCleanup({ commands }), isGone: isRunGone(client), timeout };
    this.#deps.tasks.ensure(key, id, limitsOf(spec), async (work): Promise<HostOutcome> => ({
      work: 'clean',
      outcome: await this.#deps.executor.reclaim(access, cleanup.isOurs, work, how),
    }));
    return true;
  }

  /** In quarantine it goes on saying why. */
  async #underWay(entry: PooledRemoteMachine): Promise<undefined> {
    const isTold = getCondition(entry.status?.conditions, CONDITION.Clean)?.status === 'False';
    await tell(this.#deps, entry, ...(isTold ? [] : [clean('Unknown', REASON.CleaningUp, 'The host is looked at and cleaned')]));
  }

  async #ended(entry: PooledRemoteMachine, { isAdopted }: Cleanup, result: HostOutcome): Promise<Result | undefined> {
    if (result.work !== 'clean') throw new Error(`PooledRemoteMachine ${keyOf(entry)} was bootstrapped by its cleanup`);
    const { outcome } = result;
    const why = unclean(outcome, isAdopted);
    if (why !== undefined) return this.#later(entry, { ...why, terminal: false, concerns: 'host' });
    this.#attempts.succeeded(entry.metadata.uid);
    const { publicKey, fingerprint } = outcome.hostKey;
    const message = 'The host is clean, confirmed by looking at it';
    await this.#deps.allocator.free(entry, [clean('True', REASON.Cleaned, message), reachable], { hostKey: publicKey });
    if (accepts(entry, publicKey))
      this.#deps.events.event(entry, 'Normal', REASON.HostKeyAccepted, CONDITION.Clean, `The host key ${fingerprint} was accepted`);
    this.#deps.events.event(entry, 'Normal', REASON.Released, CONDITION.Clean, message);
    return undefined;
  }

  async #later(entry: PooledRemoteMachine, cause: Failure, attempts = this.#attempts): Promise<Result> {
    const failure = { ...cause, message: withOutput(entry, cause) };
    const { wait } = attempts.failed(entry.metadata.uid, versionOf(entry), failure);
    // A Secret that can't be read says nothing of the host.
    const contact =
      attempts === this.#reads ? [] : { host: [reachable], access: [notReachable(failure)], data: [], api: [] }[failure.concerns];
    await tell(this.#deps, entry, clean('False', failure.reason, failure.message), ...contact);
    return { requeueAfter: wait };
  }
}

/** Why the host is not known to be clean; undefined: it is. */
function unclean(outcome: ReclaimOutcome, isAdopted: boolean): { reason: Reason; message: string } | undefined {
  switch (outcome.outcome) {
    case 'Clean': {
      if (!isAdopted || outcome.ran) return undefined;
      const message =
        'Another operator bootstrapped the host, and there is no claim on it that says how to clean it: clean it by hand, then annotate release=force';
      return { reason: REASON.NoCleanupKnown, message };
    }
    case 'NoCleanupKnown':
      return {
        reason: REASON.NoCleanupKnown,
        message:
          'Something ran on the host and nothing says how to clean it: set cleanUpCommands, or clean it by hand and annotate release=force',
      };
    case 'Failed':
      return { reason: REASON.CleanupFailed, message: failedCleanup(outcome) };
    case 'InUse':
      return { reason: REASON.HostInUse, message: claimedBy(outcome.holder) };
  }
}

/** Only the machine, while it was there, knew what is secret of the output, and told the rest: where the same fails again, that stays. */
function withOutput({ status }: PooledRemoteMachine, { reason, message }: Failure): string {
  const told = getCondition(status?.conditions, CONDITION.Clean);
  return told?.status === 'False' && told.reason === reason && told.message.startsWith(message + LAST_OUTPUT) ? told.message : message;
}

const aboutOf = ({ metadata, spec }: PooledRemoteMachine): About => ({ namespace: metadata.namespace ?? '', spec: spec?.machine });

const versionOf = (entry: PooledRemoteMachine): string =>
  `${entry.metadata.generation ?? 0}/${entry.metadata.annotations?.[REQUEST.acceptHostKey] ?? ''}`;
