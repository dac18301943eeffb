/** Phase: run the bootstrap data on the host, once. The work goes on in the background; this reads how far it is. */
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { planCleanup } from '../../cleanup/planner.ts';
import type { TaskState } from '../../framework/background.ts';
import type { Result } from '../../framework/types.ts';
import { endpointOf, identityOf, providerIDOf } from '../../pool/identity.ts';
import type { BootstrapOutcome, Progress } from '../../runner/execution.ts';
import { type AccessResult, cleanUpCommandsOf, type HostSpec, hostSpecOf, pinnedKeys } from '../hosts/access.ts';
import type { Attempts } from '../hosts/attempts.ts';
import { durationOf } from '../hosts/duration.ts';
import { allowsOtherHost, failureOf } from '../hosts/failure.ts';
import { outputFilter, planFor, readBootstrapData } from './bootstrap-data.ts';
import type { HostOutcome } from '../hosts/tasks.ts';
import type { MachineDeps } from './deps.ts';
import type { MachineScope } from './scope.ts';

/** What the filter and the sentinel rule of a run need when it ends; dropped with its task. */
interface Running {
  filter: (text: string) => string;
  expectsSentinel: boolean;
  pins: boolean;
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
    const task = this.#deps.tasks.peek(scope.task);
    if (task?.id === runID) return this.#observe(scope, runID, task.state);
    if (scope.status.bootstrap?.phase === 'Failed' && scope.status.bootstrap.runID === runID) return {};
    const pending = this.#attempts.pending(scope.uid, versionOf(scope));
    if (pending !== undefined) return { requeueAfter: pending.wait };
    try {
      await this.#start(scope, runID);
    } catch (error) {
      return this.#failed(scope, error);
    }
    return this.#progress(scope, runID, undefined);
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
    this.#running.set(scope.uid, { filter, expectsSentinel: plan.expectsSentinel, pins: access.pins });
    const { machine } = scope;
    const log = scope.log.child({ runID });
    const request = {
      claimant: { runID, machine: { ...scope.name, uid: scope.uid } },
      cleanup: planCleanup(cleanupInput(scope, spec)),
      plan: (facts: BootstrapOutcome['facts']) => planFor(data, instance, facts),
      options: { commandsAsScript: spec.commandsAsScript ?? false, workingDir: spec.workingDir ?? '/' },
      timeout: durationOf(machine.metadata.annotations?.[REQUEST.bootstrapTimeout]) ?? settings.bootstrapTimeout,
      onTouch: () => this.#deps.allocator.touch(machine),
      onOutput: settings.logRunOutput ? lineLogger((line) => log.info('output of the run', { line: filter(line) })) : () => undefined,
    };
    tasks.ensure(scope.task, runID, limitsOf(spec), async (work): Promise<HostOutcome> => ({
      work: 'bootstrap',
      outcome: await executor.bootstrap(access, request, work),
    }));
  }

  async #access(scope: MachineScope, spec: HostSpec): Promise<AccessResult> {
    const access = await this.#deps.access.read(scope.name.namespace, spec, pinnedKeys(scope.machine, scope.entry), scope.signal);
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

  #progress(scope: MachineScope, runID: string, progress: Progress | undefined): Result {
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    if (progress?.contact === undefined) {
      scope.wait(
        CONDITION.HostReachable,
        REASON.Connecting,
        `Connecting to ${spec?.user ?? 'root'}@${spec === undefined ? '?' : endpointOf(spec)}`,
      );
      return {};
    }
    this.#contacted(scope, progress.contact.facts);
    const { startedAt, command } = progress;
    scope.status.bootstrap = {
      runID,
      phase: startedAt === undefined ? 'Claimed' : 'Running',
      ...(startedAt && { startedAt: startedAt.toISOString() }),
      ...(command !== undefined && { command }),
    };
    const what = command === undefined ? 'The bootstrap data is brought to the host' : `${command} runs`;
    scope.wait(CONDITION.BootstrapExecSucceeded, REASON.BootstrapRunning, what);
    return {};
  }

  #contacted(scope: MachineScope, facts: BootstrapOutcome['facts']): void {
    this.#attempts.succeeded(scope.uid);
    scope.status.host = facts;
    scope.mark(CONDITION.HostReachable, 'True', REASON.Reachable, `Connected; the host key is ${facts.hostKey ?? '?'}`);
  }

  async #ended(scope: MachineScope, runID: string, outcome: BootstrapOutcome): Promise<Result | undefined> {
    const { ended, facts, hostKey } = outcome;
    const running = this.#running.get(scope.uid);
    this.#contacted(scope, facts);
    const failure = failureOfRun(ended, runID, running);
    const finishedAt = 'finishedAt' in ended ? ended.finishedAt : scope.now;
    const command = 'command' in ended ? ended.command : undefined;
    scope.status.bootstrap = {
      runID,
      phase: failure === undefined ? 'Succeeded' : 'Failed',
      startedAt: ended.startedAt.toISOString(),
      finishedAt: finishedAt.toISOString(),
      ...(command !== undefined && command !== '' && { command }),
      ...('exitCode' in ended && { exitCode: ended.exitCode }),
    };
    if (failure !== undefined) {
      this.#done(scope);
      scope.fail(CONDITION.BootstrapExecSucceeded, { ...failure, terminal: true });
      return {};
    }
    const spec = hostSpecOf(scope.machine.spec, scope.entry);
    if (spec === undefined) throw new Error(`RemoteMachine ${scope.key} lost its address`);
    const { annotations, resourceVersion } = scope.machine.metadata;
    const pin = running?.pins === true && annotations?.[ANNOTATION.hostKey] !== hostKey.publicKey;
    scope.machine = await this.#deps.client.patch<RemoteMachine>(REMOTE_MACHINES, scope.name, {
      metadata: { resourceVersion, ...(pin && { annotations: { [ANNOTATION.hostKey]: hostKey.publicKey } }) },
      spec: { providerID: providerIDOf(spec) },
    });
    this.#done(scope);
    return undefined;
  }

  #done(scope: MachineScope): void {
    this.#deps.tasks.forget(scope.task);
    this.#running.delete(scope.uid);
  }

  /** Transient failures are tried again with backoff, on another host where nothing was left on this one. */
  async #failed(scope: MachineScope, error: unknown): Promise<Result> {
    const failure = failureOf(error);
    if (failure.reason === REASON.InternalError) scope.log.error('an attempt failed', { error });
    const type =
      failure.concerns === 'contact' || scope.status.host === undefined ? CONDITION.HostReachable : CONDITION.BootstrapExecSucceeded;
    if (failure.terminal) {
      scope.fail(CONDITION.BootstrapExecSucceeded, failure);
      return {};
    }
    if (allowsOtherHost(error) && (await this.#moveOn(scope, failure))) return { requeueAfter: 0 };
    const attempt = this.#attempts.failed(scope.uid, versionOf(scope), failure);
    scope.fail(failure.concerns === 'host' ? CONDITION.BootstrapExecSucceeded : type, failure);
    return { requeueAfter: attempt.wait };
  }

  async #moveOn(scope: MachineScope, failure: { reason: keyof typeof REASON; message: string; concerns: string }): Promise<boolean> {
    const { reason, message } = failure;
    const type = failure.concerns === 'contact' ? CONDITION.Reachable : CONDITION.Clean;
    const mark = { type, status: 'False' as const, reason, message };
    const options = { failureDomain: scope.owner?.spec?.failureDomain, startRun: true };
    const moved = await this.#deps.allocator.moveOn(scope.machine, options, mark);
    if (moved?.kind !== 'reserved') {
      if (scope.entry !== undefined) await this.#deps.allocator.mark(scope.entry, { marks: [mark] });
      return false;
    }
    this.#deps.events.event(scope.machine, 'Warning', reason, CONDITION.HostReserved, `${message}; going on with another host of the pool`);
    scope.machine = moved.machine;
    scope.entry = moved.entry;
    delete scope.status.host;
    return true;
  }
}

/** What was tried: another spec, key or accepted host key is tried at once. */
function versionOf({ machine, entry }: MachineScope): string {
  const of = (object: typeof machine | typeof entry): string =>
    `${object?.metadata.uid ?? ''}/${object?.metadata.generation ?? 0}/${object?.metadata.annotations?.[REQUEST.acceptHostKey] ?? ''}`;
  return `${of(machine)} ${of(entry)}`;
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

/** Why the run failed, in words; undefined: it succeeded. */
function failureOfRun(
  ended: BootstrapOutcome['ended'],
  runID: string,
  running: Running | undefined,
): { reason: keyof typeof REASON; message: string } | undefined {
  const tail = (text: string): string => (text.trim() === '' ? '' : `. Last output:\n${(running?.filter ?? String)(text.trim())}`);
  const next = `Run ${runID}: delete the Machine, or annotate ${REQUEST.retry}=${runID}`;
  if (ended.phase === 'TimedOut') {
    return {
      reason: REASON.BootstrapTimedOut,
      message: `${ended.command} did not end in time and was killed. ${next}${tail(ended.outputTail)}`,
    };
  }
  if (ended.phase === 'Vanished') {
    return {
      reason: REASON.BootstrapVanished,
      message: `The run was gone during ${ended.command}: power cut, or killed. ${next}${tail(ended.outputTail)}`,
    };
  }
  if (ended.exitCode !== 0) {
    const what = `${ended.command ?? 'The run'} failed with exit code ${ended.exitCode}`;
    return { reason: REASON.BootstrapFailed, message: `${what}. ${next}${tail(ended.outputTail)}` };
  }
  if (running?.expectsSentinel === true && !ended.sentinel) {
    const what = 'Every command succeeded, but /run/cluster-api/bootstrap-success.complete was not written';
    return { reason: REASON.SentinelMissing, message: `${what}. ${next}${tail(ended.outputTail)}` };
  }
  return undefined;
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
