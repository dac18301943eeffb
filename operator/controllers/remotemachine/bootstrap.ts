/** Phase: run the bootstrap data on the host, once. The work goes on in the background; this reads how far it is. */
import { CONDITION, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { DEFAULT_USER } from '../../../apis/infrastructure/connection.ts';
import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { HostFacts } from '../../../apis/infrastructure/status.ts';
import { planCleanup } from '../../cleanup/planner.ts';
import type { TaskState } from '../../framework/background.ts';
import type { Result } from '../../framework/types.ts';
import { trustOf } from '../../pool/host-key-pins.ts';
import { endpointOf, identityOf, providerIDOf } from '../../pool/identity.ts';
import type { BootstrapOutcome, Ended, Progress } from '../../runner/execution.ts';
import { type AccessResult, cleanUpCommandsOf, type HostSpec, hostSpecOf } from '../hosts/access.ts';
import type { Attempts } from '../hosts/attempts.ts';
import { durationOf } from '../hosts/duration.ts';
import { allowsOtherHost, type Failure, failureOf } from '../hosts/failure.ts';
import { outputFilter, planFor, readBootstrapData } from './bootstrap-data.ts';
import type { HostOutcome } from '../hosts/tasks.ts';
import type { MachineDeps } from './deps.ts';
import { pinHostKey, replacesPin } from './host-key.ts';
import { failureOfRun } from './run-failure.ts';
import type { MachineScope, MachineStatus } from './scope.ts';

/** What a run needs of this process until it ends; dropped with its task. */
interface Running {
  filter: (text: string) => string;
  expectsSentinel: boolean;
  /** Lets the run start. */
  commit: () => void;
  /** Of spec and accepted host key that it was started with. */
  version: string;
}

export class Bootstrap {
  readonly #deps: MachineDeps;
  readonly #attempts: Attempts;
  readonly #running = new Map<string, Running>();

  constructor(deps: MachineDeps, attempts: Attempts) {
    this.#deps = deps;
    this.#attempts = attempts;
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
      return this.#failed(scope, error);
    }
    return this.#progress(scope, runID, undefined);
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

  forget(uid: string): void {
    this.#running.delete(uid);
  }

  async #start(scope: MachineScope, runID: string): Promise<void> {
    const { tasks, executor, client, settings } = this.#deps;
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    const secretName = scope.owner?.spec?.bootstrap.dataSecretName;
    if (spec === undefined || secretName === undefined) throw new Error(`RemoteMachine ${scope.key} has no host or no bootstrap data`);
    const access = await this.#access(scope, spec);
    const data = await readBootstrapData(client, scope.name.namespace, secretName, scope.signal);
    const instance = { runID, name: scope.name.name, failureDomain: scope.entry?.spec?.failureDomain };
    const plan = planFor(data, instance, {});
    this.#announce(scope, plan.findings);
    const filter = outputFilter(data, plan, access);
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>();
    this.#running.set(scope.uid, { filter, expectsSentinel: plan.expectsSentinel, commit, version: scope.version });
    const { machine } = scope;
    const log = scope.log.child({ runID });
    const request = {
      claimant: { runID, machine: { ...scope.name, uid: scope.uid } },
      cleanup: planCleanup(cleanupInput(scope, spec)),
      plan: (facts: BootstrapOutcome['facts']) => planFor(data, instance, facts),
      options: { commandsAsScript: spec.commandsAsScript ?? false, workingDir: spec.workingDir ?? '/' },
      timeout: durationOf(machine.metadata.annotations?.[REQUEST.bootstrapTimeout]) ?? settings.bootstrapTimeout,
      onTouch: () => this.#deps.allocator.touch(machine),
      committed,
      onOutput: settings.logRunOutput ? lineLogger((line) => log.info('output of the run', { line: filter(line) })) : () => undefined,
    };
    tasks.ensure(scope.task, runID, limitsOf(spec), async (work): Promise<HostOutcome> => ({
      work: 'bootstrap',
      outcome: await executor.bootstrap(access, request, work),
    }));
  }

  async #access(scope: MachineScope, spec: HostSpec): Promise<AccessResult> {
    const access = await this.#deps.access.read(scope.name.namespace, spec, trustOf(scope.machine, scope.entry), scope.signal);
    for (const name of access.notMovable) {
      const note = `Secret ${name} lacks the label clusterctl.cluster.x-k8s.io/move: clusterctl move would leave it behind`;
      this.#deps.events.event(scope.machine, 'Normal', REASON.KeyNotMovable, CONDITION.HostReachable, note);
    }
    return access;
  }

  #announce(scope: MachineScope, findings: { reason: string; path: string; line?: number; message: string }[]): void {
    for (const { reason, path, line, message } of findings) {
      const where = line === undefined ? path : `${path} (line ${line})`;
      this.#deps.events.event(scope.machine, 'Warning', reason, CONDITION.BootstrapExecSucceeded, `${where}: ${message}`);
    }
  }

  async #observe(scope: MachineScope, runID: string, state: TaskState<Progress, HostOutcome>): Promise<Result | undefined> {
    if (state.phase === 'failed') {
      this.#deps.tasks.forget(scope.task);
      return this.#failed(scope, state.error);
    }
    if (state.phase !== 'done') return this.#progress(scope, runID, state.phase === 'running' ? state.progress : undefined);
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
    // The stored status is what keeps every manager from giving the machine another host.
    const isCommitted = scope.machine.status?.bootstrap?.runID === runID;
    if (isCommitted) this.#running.get(scope.uid)?.commit();
    scope.status.bootstrap = {
      runID,
      phase: startedAt === undefined ? 'Claimed' : 'Running',
      ...(startedAt && { startedAt: startedAt.toISOString() }),
      ...(command !== undefined && { command }),
    };
    const what = command === undefined ? `Run ${runID} has the host: its bootstrap data goes there and runs` : `${command} runs`;
    scope.wait(CONDITION.BootstrapExecSucceeded, REASON.BootstrapRunning, what);
    return {}; // not committed yet: the write of this status is a change, and brings us here again
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
    const expectations = { runID, sentinel: running?.expectsSentinel === true, filter: running?.filter ?? String };
    const failure = failureOfRun(ended, expectations);
    scope.status.bootstrap = bootstrapStatus(runID, failure === undefined, ended, scope.now);
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    if (spec === undefined) throw new Error(`RemoteMachine ${scope.key} lost its address`);
    await pinHostKey(this.#deps, scope, hostKey, failure === undefined ? { spec: { providerID: providerIDOf(spec) } } : {});
    this.#done(scope);
    if (failure === undefined) return undefined;
    scope.fail(CONDITION.BootstrapExecSucceeded, { ...failure, terminal: true });
    return {};
  }

  #done(scope: MachineScope): void {
    this.#deps.tasks.forget(scope.task);
    this.#running.delete(scope.uid);
  }

  /** Transient failures are tried again with backoff, on another host where nothing was left on this one. */
  async #failed(scope: MachineScope, error: unknown): Promise<Result> {
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    const about = { namespace: scope.name.namespace, spec, dataSecret: scope.owner?.spec?.bootstrap.dataSecretName };
    const failure = failureOf(error, about);
    if (failure.reason === REASON.InternalError) scope.log.error('an attempt failed', { error });
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
    const options = { failureDomain: scope.owner?.spec?.failureDomain, startRun: true };
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

/** The condition that a failure is told by: the one that it keeps from being True. A host that refuses has been reached. */
function report(scope: MachineScope, failure: Failure): void {
  if (failure.concerns === 'host') scope.mark(CONDITION.HostReachable, 'True', REASON.Reachable, 'The host answered');
  const early = failure.concerns === 'access' || (failure.concerns === 'api' && scope.status.host === undefined);
  scope.fail(early ? CONDITION.HostReachable : CONDITION.BootstrapExecSucceeded, failure);
}

function bootstrapStatus(runID: string, succeeded: boolean, ended: Ended, now: Date): NonNullable<MachineStatus['bootstrap']> {
  const command = 'command' in ended ? ended.command : undefined;
  return {
    runID,
    phase: succeeded ? 'Succeeded' : 'Failed',
    startedAt: ended.startedAt.toISOString(),
    finishedAt: ('finishedAt' in ended ? ended.finishedAt : now).toISOString(),
    ...(command !== undefined && command !== '' && { command }),
    ...('exitCode' in ended && { exitCode: ended.exitCode }),
  };
}

/** Slots that work on a host takes: one of all, one of the host, one of each bastion. */
export function limitsOf(spec: HostSpec): string[] {
  const bastions = (spec.bastions ?? []).map((bastion) => `bastion/${endpointOf(bastion)}`);
  return ['total', `host/${identityOf(spec)}`, ...bastions];
}

function cleanupInput(scope: MachineScope, spec: HostSpec): Parameters<typeof planCleanup>[0] {
  const commands = cleanUpCommandsOf(spec);
  const ref = scope.owner?.spec?.bootstrap.configRef;
  const group = ref?.apiGroup ?? ref?.apiVersion?.split('/')[0] ?? '';
  return { ...(commands && { commands }), ...(ref && { bootstrap: { kind: ref.kind, group } }) };
}

/** Calls `write` with each whole line. */
function lineLogger(write: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = (lines.pop() ?? '').slice(0, 65_536);
    for (const line of lines) write(line);
  };
}
