/** Phase: run the bootstrap data on the host, once. The work goes on in the background; this reads how far it is. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { DEFAULT_USER } from '../../../apis/infrastructure/connection.ts';
import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { HostFacts } from '../../../apis/infrastructure/status.ts';
import { BootstrapDataError, type Finding, HostUnknown, type Plan, sentenceOf } from '../../bootstrap/plan.ts';
import type { TaskState } from '../../framework/background.ts';
import type { Result } from '../../framework/types.ts';
import type { SettleOptions } from '../../pool/allocator.ts';
import { pinsHostKey, trustOf } from '../../pool/host-key-pins.ts';
import { endpointOf, providerIDOf } from '../../pool/identity.ts';
import type { BootstrapOutcome, BootstrapRequest, Ended, Progress } from '../../runner/execution.ts';
import type { HostSaid } from '../../runner/types.ts';
import type { HostKey } from '../../ssh/types.ts';
import { type AccessResult, type HostSpec, hostSpecOf } from '../hosts/access.ts';
import type { Attempts } from '../hosts/attempts.ts';
import { durationOf } from '../hosts/duration.ts';
import { allowsOtherHost, type Failure, failureOf, InputError } from '../hosts/failure.ts';
import { outputFilter, type OutputFilter, planFor, readBootstrapData, type StoredData, unless } from './bootstrap-data.ts';
import { isRunGone } from '../hosts/presence.ts';
import { type HostOutcome, limitsOf } from '../hosts/tasks.ts';
import type { MachineDeps } from './deps.ts';
import { pinHostKey, replacesPin } from './host-key.ts';
import { cleanupOf } from './cleaning.ts';
import { clusterNameOf } from './owner.ts';
import { inUse } from './provisioned.ts';
import { RefusedData } from './refused-data.ts';
import { failureOfRun } from './run-failure.ts';
import { RunHosts } from './run-hosts.ts';
import { lineReader, UNHEARD } from './run-output.ts';
import { AWAITS_CONNECTION, type MachineScope, type MachineStatus } from './scope.ts';

/** What a run needs of this process until it ends; dropped with its task. */
interface Running {
  /** Of the data that the run was begun with. */
  dataVersion: string | undefined;
  filter: OutputFilter;
  /** What is to be known of the bootstrap data, for a message that it follows; or nothing. */
  beware: string;
  /** Lets the run start. */
  commit: () => void;
  committed: Promise<void>;
  /** Of spec and accepted host key that it was started with. */
  version: string;
}

export class Bootstrap {
  readonly #deps: MachineDeps;
  readonly #attempts: Attempts;
  readonly #hosts: RunHosts;
  readonly #running = new Map<string, Running>();
  readonly #refused = new RefusedData();

  constructor(deps: MachineDeps, attempts: Attempts, hosts = new RunHosts()) {
    this.#deps = deps;
    this.#attempts = attempts;
    this.#hosts = hosts;
  }

  async run(scope: MachineScope): Promise<Result | undefined> {
    const runID = scope.machine.metadata.annotations?.[ANNOTATION.runID];
    if (runID === undefined) throw new Error(`RemoteMachine ${scope.key} is reserved and has no run ID`);
    if (this.#isOutdated(scope, runID)) await this.#deps.tasks.abort(scope.task);
    const task = this.#deps.tasks.peek(scope.task);
    if (task?.id === runID) return this.#observe(scope, runID, task.state);
    if (this.#hasFailed(scope, runID)) return {};
    const pending = this.#attempts.pending(scope.uid, scope.version);
    if (pending !== undefined) {
      report(scope, pending.failure);
      return { requeueAfter: pending.wait };
    }
    try {
      await this.#start(scope, runID);
    } catch (error) {
      // The end of this manager is no fault of the machine: the next one goes on.
      scope.signal.throwIfAborted();
      return this.#failed(scope, error);
    }
    const state = this.#deps.tasks.peek(scope.task)?.state;
    return state === undefined ? {} : this.#observe(scope, runID, state);
  }

  /** What a person corrects while a host is being connected to is tried at once. After contact the run goes on as it began. */
  #isOutdated(scope: MachineScope, runID: string): boolean {
    const task = this.#deps.tasks.peek(scope.task);
    if (task?.id !== runID || this.#running.get(scope.uid)?.version === scope.version) return false;
    return task.state.phase === 'queued' || (task.state.phase === 'running' && task.state.progress?.contact === undefined);
  }

  /** The end of the run is in the status; whatever was awaited since, that stays what the machine says. */
  #hasFailed(scope: MachineScope, runID: string): boolean {
    const { bootstrap, failureReason, failureMessage } = scope.status;
    if (bootstrap?.phase !== 'Failed' || bootstrap.runID !== runID || failureReason === undefined) return false;
    scope.fail(CONDITION.BootstrapExecSucceeded, {
      reason: failureReason as Reason,
      message: failureMessage ?? '',
      terminal: true,
    });
    return true;
  }

  /** Lets the run start once it stands in the stored status, which keeps every manager from giving the machine another host. */
  commit({ machine, uid }: MachineScope): void {
    if (machine.status?.bootstrap?.runID === machine.metadata.annotations?.[ANNOTATION.runID]) this.#running.get(uid)?.commit();
  }

  forget(uid: string): void {
    this.#running.delete(uid);
    this.#refused.forget(uid);
    this.#hosts.forget(uid);
  }

  async #start(scope: MachineScope, runID: string): Promise<void> {
    const { tasks, executor, client, settings } = this.#deps;
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    const secretName = scope.owner?.spec?.bootstrap.dataSecretName;
    if (spec === undefined || secretName === undefined) throw new Error(`RemoteMachine ${scope.key} has no host or no bootstrap data`);
    const access = await this.#access(scope, spec);
    // The stored status tells of a run from its claim on. Such a one is followed to its end, whatever became of its data.
    const begun = scope.machine.status?.bootstrap?.runID === runID;
    const read = readBootstrapData(client, scope.name.namespace, secretName, scope.signal);
    // A person or the bootstrap provider may have taken it away since.
    const data = await (begun ? unless(InputError, read) : read);
    const { running, plan, asksHost } = await this.#prepared(scope, { runID, data, access, begun });
    this.#running.set(scope.uid, running);
    const { machine, uid } = scope;
    this.#hosts.begin(uid, runID, spec);
    const log = scope.log.child({ runID });
    const request = {
      claimant: { runID, machine: { ...scope.name, uid: scope.uid } },
      cleanup: cleanupOf(scope, spec),
      plan,
      asksHost,
      begun,
      abandoned: scope.entry?.metadata.annotations?.[ANNOTATION.abandonedRun],
      isGone: isRunGone(client),
      options: { commandsAsScript: spec.commandsAsScript ?? false, workingDir: spec.workingDir ?? '/' },
      timeout: durationOf(machine.metadata.annotations?.[REQUEST.bootstrapTimeout]) ?? settings.bootstrapTimeout,
      onTouch: () => {
        this.#hosts.touch(uid);
        this.#deps.allocator.touch(machine);
      },
      committed: running.committed,
      output: settings.logRunOutput
        ? lineReader(
            (text) => running.filter.output(text),
            (line) => log.info('output of the run', { line }),
          )
        : UNHEARD,
    };
    tasks.ensure(scope.task, runID, limitsOf(spec), async (work): Promise<HostOutcome> => ({
      work: 'bootstrap',
      outcome: await executor.bootstrap(access, request, work),
    }));
  }

  /** What the data is planned as: for good where the host does not matter, else once the host has said what it is. */
  async #prepared(
    scope: MachineScope,
    { runID, data, access, begun }: { runID: string; data: StoredData | undefined; access: AccessResult; begun: boolean },
  ): Promise<{ running: Running; plan: BootstrapRequest['plan']; asksHost: boolean }> {
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>();
    const begunWith = begun ? scope.machine.status?.bootstrap?.dataVersion : undefined;
    const filter = outputFilter(data, undefined, access, begunWith);
    const running: Running = { filter, dataVersion: begunWith ?? data?.version, beware: '', committed, commit, version: scope.version };
    if (data === undefined) return { running, plan: undefined, asksHost: false };
    const instance = { runID, name: scope.name.name, failureDomain: scope.entry?.spec?.failureDomain ?? scope.owner?.spec?.failureDomain };
    const refusal = this.#refused.of(scope, data, instance);
    if (refusal !== undefined) throw refusal;
    const heed = (plan: Plan): void => {
      running.filter = outputFilter(data, plan, access, begunWith);
      running.beware = beware(plan.findings);
      if (!begun) this.#announce(scope, plan.findings);
    };
    const { planner } = this.#deps;
    const ahead = unless(HostUnknown, planFor(planner, data, instance));
    // The data of a run that began may have changed since, or this version may judge it otherwise.
    const planned = await (begun ? unless(BootstrapDataError, ahead) : ahead);
    if (planned !== undefined) heed(planned);
    const plan = async (said: HostSaid): Promise<Plan> => {
      if (planned?.ofHost === false) return planned;
      const made = await this.#refused.noting(scope, data, instance, planFor(planner, data, instance, said));
      if (planned === undefined) heed(made);
      return made;
    };
    return { running, plan, asksHost: planned === undefined };
  }

  async #access(scope: MachineScope, spec: HostSpec): Promise<AccessResult> {
    const access = await this.#deps.access.read(scope.name.namespace, spec, trustOf(scope.machine, scope.entry), scope.signal);
    for (const name of access.notMovable) {
      const note = `Secret ${name} lacks the label clusterctl.cluster.x-k8s.io/move: clusterctl move would leave it behind`;
      this.#deps.events.event(scope.machine, 'Normal', REASON.KeyNotMovable, CONDITION.HostReachable, note);
    }
    return access;
  }

  #announce(scope: MachineScope, findings: Finding[]): void {
    for (const finding of findings)
      this.#deps.events.event(scope.machine, 'Warning', finding.reason, CONDITION.BootstrapExecSucceeded, sentenceOf(finding));
  }

  async #observe(scope: MachineScope, runID: string, state: TaskState<Progress, HostOutcome>): Promise<Result | undefined> {
    if (state.phase === 'failed') {
      this.#deps.tasks.forget(scope.task);
      if (state.error instanceof BootstrapDataError) scope.mark(CONDITION.HostReachable, 'True', REASON.Reachable, ANSWERED);
      return this.#failed(scope, state.error);
    }
    if (state.phase === 'queued') {
      scope.wait(CONDITION.HostReachable, REASON.WaitingForConnection, AWAITS_CONNECTION);
      return {};
    }
    if (state.phase !== 'done') return this.#progress(scope, runID, state.progress);
    if (state.result.work !== 'bootstrap') throw new Error(`RemoteMachine ${scope.key} was cleaned under the ID of its run`);
    return this.#ended(scope, runID, state.result.outcome);
  }

  async #progress(scope: MachineScope, runID: string, progress: Progress | undefined): Promise<Result> {
    if (progress?.contact === undefined) {
      this.#connecting(scope);
      return {};
    }
    const { contact, startedAt, command } = progress;
    if (startedAt !== undefined) this.#attempts.succeeded(scope.uid);
    if (replacesPin(scope, contact.hostKey)) await pinHostKey(this.#deps, scope, contact.hostKey);
    contacted(scope, contact.facts);
    if (scope.machine.status?.bootstrap?.phase === 'Running') await this.#hold(scope, runID, contact.hostKey);
    const dataVersion = this.#running.get(scope.uid)?.dataVersion;
    scope.status.bootstrap = {
      runID,
      ...(dataVersion !== undefined && { dataVersion }),
      phase: startedAt === undefined ? 'Claimed' : 'Running',
      ...(startedAt && { startedAt: startedAt.toISOString() }),
      ...(command !== undefined && { command }),
    };
    const what = command === undefined ? `Run ${runID} has the host: its bootstrap data goes there and runs` : `${command} runs`;
    scope.wait(CONDITION.BootstrapExecSucceeded, REASON.BootstrapRunning, what + (this.#running.get(scope.uid)?.beware ?? ''));
    return {};
  }

  /**
   * A run that lasts, which its status tells of: a restored entry tells by its finalizer that somebody has its host, and the host's key
   * is known where the status is lost.
   */
  async #hold(scope: MachineScope, run: string, hostKey: HostKey): Promise<void> {
    if (scope.entry !== undefined) await this.#settleEntry(scope, { run, hostKey: hostKey.publicKey });
    else if (pinsHostKey(scope.machine.spec ?? {})) await pinHostKey(this.#deps, scope, hostKey);
  }

  /** While something is tried again, the machine says what went wrong the last time. */
  #connecting(scope: MachineScope): void {
    const last = this.#attempts.last(scope.uid, scope.version);
    if (last !== undefined) {
      report(scope, last);
      return;
    }
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    const where = spec === undefined ? '?' : endpointOf(spec);
    scope.wait(CONDITION.HostReachable, REASON.Connecting, `Connecting to ${spec?.user ?? DEFAULT_USER}@${where}`);
  }

  async #ended(scope: MachineScope, runID: string, outcome: BootstrapOutcome): Promise<Result | undefined> {
    const { ended, facts, hostKey } = outcome;
    const running = this.#running.get(scope.uid);
    this.#attempts.succeeded(scope.uid);
    contacted(scope, facts);
    const failure = failureOfRun(ended, { runID, filter: running?.filter.output ?? (() => '') });
    scope.status.bootstrap = bootstrapStatus(scope.status.bootstrap, { runID, succeeded: failure === undefined, ended, now: scope.now });
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    if (spec === undefined) throw new Error(`RemoteMachine ${scope.key} lost its address`);
    await pinHostKey(this.#deps, scope, hostKey, failure === undefined ? { spec: { providerID: providerIDOf(spec) } } : {});
    this.#done(scope);
    if (failure === undefined) {
      const message = `Run ${runID} succeeded${running?.beware ?? ''}`;
      scope.mark(CONDITION.BootstrapExecSucceeded, 'True', REASON.BootstrapSucceeded, message);
      return undefined;
    }
    // The machine may go before anyone succeeds on the host, and its pin with it.
    await this.#settleEntry(scope, { run: runID, hostKey: hostKey.publicKey });
    scope.fail(CONDITION.BootstrapExecSucceeded, { ...failure, terminal: true });
    return {};
  }

  /** The machine has the host: its entry is held, and says nothing else any more. */
  async #settleEntry(scope: MachineScope, options: SettleOptions = {}): Promise<void> {
    const { allocator } = this.#deps;
    if (scope.entry === undefined) return;
    const marks = inUse(scope.entry);
    const marked = marks.length === 0 ? scope.entry : await allocator.mark(scope.entry, { marks });
    scope.entry = await allocator.settle(marked, options);
  }

  #done(scope: MachineScope): void {
    this.#deps.tasks.forget(scope.task);
    this.#running.delete(scope.uid);
  }

  /** Transient failures are tried again with backoff, on another host where nothing was left on this one. */
  async #failed(scope: MachineScope, error: unknown): Promise<Result> {
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    const dataSecret = scope.owner?.spec?.bootstrap.dataSecretName;
    const filter = this.#running.get(scope.uid)?.filter.words;
    const failure = failureOf(error, { namespace: scope.name.namespace, spec, dataSecret, filter });
    if (failure.concerns === 'api') scope.log.error('an attempt failed', { error });
    if (failure.terminal) {
      report(scope, failure);
      return {};
    }
    if (allowsOtherHost(error) && (await this.#moveOn(scope, failure))) return { requeueAfter: 0 };
    const attempt = this.#attempts.failed(scope.uid, scope.version, failure);
    report(scope, failure);
    return { requeueAfter: attempt.wait };
  }

  /** Whether the machine has another host that can be tried at once; one that could not be reached either is tried after the backoff. */
  async #moveOn(scope: MachineScope, { reason, message, concerns }: Failure): Promise<boolean> {
    const type = concerns === 'access' ? CONDITION.Reachable : CONDITION.Clean;
    const mark = { type, status: 'False' as const, reason, message };
    const options = {
      failureDomain: scope.owner?.spec?.failureDomain,
      startRun: true,
      clusterName: clusterNameOf(scope.machine, scope.owner),
    };
    const moved = await this.#deps.allocator.moveOn(scope.machine, options, mark);
    if (moved?.kind !== 'reserved') {
      if (scope.entry !== undefined) await this.#deps.allocator.mark(scope.entry, { marks: [mark] });
      return false;
    }
    scope.machine = moved.machine;
    scope.entry = moved.entry;
    delete scope.status.host;
    if (moved.entry !== undefined && this.#deps.allocator.isUnreachable(moved.entry)) return false;
    this.#deps.events.event(scope.machine, 'Warning', reason, CONDITION.HostReserved, `${message}; going on with another host of the pool`);
    return true;
  }
}

function contacted(scope: MachineScope, facts: HostFacts): void {
  scope.status.host = facts;
  scope.mark(CONDITION.HostReachable, 'True', REASON.Reachable, `Connected; the host key is ${facts.hostKey ?? '?'}`);
}

const ANSWERED = 'The host answered';

/** The condition that a failure is told by: the one that it keeps from being True. A host that refuses has been reached. */
function report(scope: MachineScope, failure: Failure): void {
  if (failure.concerns === 'host') scope.mark(CONDITION.HostReachable, 'True', REASON.Reachable, ANSWERED);
  const early = failure.concerns === 'access' || (failure.concerns === 'api' && scope.status.host === undefined);
  scope.fail(early ? CONDITION.HostReachable : CONDITION.BootstrapExecSucceeded, failure);
}

function bootstrapStatus(
  before: MachineStatus['bootstrap'],
  { runID, succeeded, ended, now }: { runID: string; succeeded: boolean; ended: Ended; now: Date },
): NonNullable<MachineStatus['bootstrap']> {
  const command = 'command' in ended ? ended.command : undefined;
  const startedAt = 'startedAt' in ended ? ended.startedAt.toISOString() : before?.startedAt;
  return {
    runID,
    phase: succeeded ? 'Succeeded' : 'Failed',
    ...(startedAt !== undefined && { startedAt }),
    finishedAt: ('finishedAt' in ended ? ended.finishedAt : now).toISOString(),
    ...(command !== undefined && command !== '' && { command }),
    ...('exitCode' in ended && { exitCode: ended.exitCode }),
    ...(before?.dataVersion !== undefined && { dataVersion: before.dataVersion }),
  };
}

const beware = (findings: Finding[]): string => (findings.length === 0 ? '' : `. Its data: ${findings.map(sentenceOf).join('; ')}`);
