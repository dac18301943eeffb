/** What is done on a host over one connection: a bootstrap from claim to end, or a cleanup. Each may be called again after any failure. */
import type { HostFacts } from '../../apis/infrastructure/status.ts';
import type { Plan } from '../bootstrap/plan.ts';
import type { CleanupPlan } from '../cleanup/plan.ts';
import { failpoint } from '../framework/failpoint.ts';
import { abortable } from '../ssh/abortable.ts';
import type { Connection, ConnectOptions, Dialer, HostKey, Privilege, Target } from '../ssh/types.ts';
import {
  type Claimant,
  type CleanResult,
  type FollowEvent,
  type HostSaid,
  RunnerError,
  type Runner,
  type RunnerFactory,
  type RunOptions,
  type RunState,
} from './types.ts';

type Found = Awaited<ReturnType<Runner['inspect']>>;
/** A run whose plan is asked for once it may start. */
type Planned = Omit<BootstrapRequest, 'plan'> & { plan: () => Promise<Plan> };

/** How to get at a host. */
export interface HostAccess {
  target: Target;
  privilege: Privilege;
}

/** What first contact showed. */
export interface Contact {
  facts: HostFacts;
  hostKey: HostKey;
}

/** Takes what a run prints. */
export interface OutputSink {
  write(chunk: Buffer): void;
  /** Nothing goes on from the last line, whole or not: another command begins, or the run has ended. */
  flush(): void;
}

/** Whether the machine of a claim that stands in the way, and the run with it, is gone. May reject: nobody knows. */
export type IsGone = (holder: Claimant, signal: AbortSignal) => Promise<boolean>;

export interface BootstrapRequest {
  claimant: Claimant;
  cleanup: CleanupPlan | undefined;
  /** The plan for a host that says this. Undefined: a run that was started before is followed, a new one can't be started. */
  plan: ((said: HostSaid) => Promise<Plan>) | undefined;
  /** What the host says decides whether there is a plan: it is asked before it is claimed, and is left as it was where there is none. */
  asksHost: boolean;
  /** The run has had its host before: it is looked for there, and never claims it anew. */
  begun: boolean;
  /** See ClaimOptions. */
  abandoned?: string | undefined;
  isGone: IsGone;
  options: RunOptions;
  /** Milliseconds from the run's start after which it is ended. */
  timeout: number;
  /** The host may hold something of this run from here on. */
  onTouch: () => void;
  /** Resolves once the run may start: the claim alone does not tell other managers that the machine has this host for good. */
  committed: Promise<void>;
  output: OutputSink;
}

export interface Progress {
  contact?: Contact;
  startedAt?: Date;
  /** The command that runs. */
  command?: string;
}

export type Ended =
  | Extract<RunState, { phase: 'Finished' | 'Vanished' }>
  | { phase: 'TimedOut'; startedAt: Date; command: string; outputTail: string }
  /** The host has no claim of the run any more: removed by a person, or the host was set up anew; holder: it is another's now. */
  | { phase: 'Lost'; holder: Claimant | undefined };

export interface BootstrapOutcome extends Contact {
  ended: Ended;
}

export type ReclaimOutcome = (CleanResult | { outcome: 'InUse'; holder: Claimant }) & { hostKey: HostKey };

export interface Work {
  signal: AbortSignal;
  report(progress: Progress): void;
}

export interface Reclaim {
  /** Run that is to have nothing on the host any more: where it has no claim, one that is still on its way comes too late. */
  run?: string | undefined;
  /** As the objects say by now; not set: as the claim says. */
  cleanup?: CleanupPlan | undefined;
  /** For whom another operator bootstrapped the host: where it has no claim, one is made before it is cleaned. */
  adopts?: Claimant | undefined;
  /** Not set: a claim that stands in the way stays. */
  isGone?: IsGone;
  /** Milliseconds from the start of the cleanup after which it is killed: it failed. */
  timeout?: number;
}

/** A run can't be started without its data. */
export class RunUnavailable extends Error {}

/** Longest delay that a timer takes, ms. */
const MAX_DELAY = 2 ** 31 - 1;

/** Ends a follow when the run that it follows has had its time. */
class Deadline {
  readonly #abort = new AbortController();
  readonly #timeout: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout ms from the run's start */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** @param age of the run, ms */
  set(age: number): void {
    clearTimeout(this.#timer);
    const left = this.#timeout - Math.max(0, age);
    this.#timer = setTimeout(() => this.#abort.abort(), Math.min(Math.max(0, Math.ceil(left)), MAX_DELAY));
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

/** A run that is over. Throws where its host has yet to reboot: until it has, nobody knows whether it comes back. */
function endOf(state: RunState): Extract<RunState, { phase: 'Finished' | 'Vanished' }> | undefined {
  if (state.phase === 'Rebooting') throw new RunnerError('HostRebooting', 'every command succeeded, and the host has yet to reboot');
  return state.phase === 'Finished' || state.phase === 'Vanished' ? state : undefined;
}

/** Takes what a follow sees where it belongs. */
function listener(
  { output }: Pick<BootstrapRequest, 'output'>,
  contact: Contact,
  deadline: Deadline,
  work: Work,
): (event: FollowEvent) => void {
  let startedAt: Date | undefined;
  return (event) => {
    switch (event.kind) {
      case 'running':
        deadline.set(event.age);
        break;
      case 'output':
        output.write(event.chunk);
        break;
      case 'command':
        output.flush();
        startedAt ??= event.at;
        work.report({ contact, startedAt, command: event.name });
    }
  };
}

/** Cleans in the time that it has; what lives of it then is killed. */
async function cleaned(
  runID: string,
  {
    runner,
    limited,
    work,
    cleanup,
    timeout,
  }: { runner: Runner; limited: (signal: AbortSignal) => Runner; work: Work; cleanup: CleanupPlan | undefined; timeout: number },
): Promise<CleanResult> {
  const deadline = new Deadline(timeout);
  let command = '';
  try {
    const on = (event: FollowEvent): void => {
      if (event.kind === 'running') deadline.set(event.age);
      if (event.kind !== 'command') return;
      command = event.name;
      work.report({ command, startedAt: event.at });
    };
    return await limited(AbortSignal.any([work.signal, deadline.signal])).clean(runID, on, cleanup);
  } catch (error) {
    if (!deadline.signal.aborted || work.signal.aborted) throw error;
  } finally {
    deadline.clear();
  }
  await runner.kill(runID);
  const message = `did not end within ${Math.round(timeout / 1000)} s and was killed`;
  return { outcome: 'Failed', command, message: command === '' ? `The cleanup ${message}` : message, outputTail: '' };
}

/**
 * The run whose claim stands in the way and has nobody who would give it back: a manager that was held up placed it when its machine was
 * gone, or the API server let the machine go while its finalizer was being added. Where nobody can tell, the refusal stands for now.
 */
async function orphanOf(holder: Claimant | undefined, isGone: IsGone | undefined, signal: AbortSignal): Promise<string | undefined> {
  return holder !== undefined && (await isGone?.(holder, signal).catch(() => false)) === true ? holder.runID : undefined;
}

/** Before the host is claimed. What began there is followed to its end, whatever became of its data. */
async function planAhead(found: Found, { begun, plan }: BootstrapRequest): Promise<Plan | undefined> {
  try {
    return await plan?.(found);
  } catch (error) {
    const mayStart = found.state === undefined ? !begun : found.state.phase === 'Claimed';
    if (mayStart) throw error;
    return undefined;
  }
}

/** The plan of a run that may start now: the one that was made ahead, if there is one. */
async function planOf({ plan, committed }: BootstrapRequest, said: HostSaid, ahead: Plan | undefined, signal: AbortSignal): Promise<Plan> {
  if (plan === undefined) throw new RunUnavailable('the run was not started yet and its bootstrap data is gone');
  await abortable<void>(signal, (resolve) => void committed.then(resolve));
  return ahead ?? plan(said);
}

export class Executor {
  readonly #dialer: Dialer;
  readonly #createRunner: RunnerFactory;
  readonly #options: Omit<ConnectOptions, 'signal'>;

  constructor(dialer: Dialer, createRunner: RunnerFactory, options: Omit<ConnectOptions, 'signal'>) {
    this.#dialer = dialer;
    this.#createRunner = createRunner;
    this.#options = options;
  }

  /** Claims the host, starts the run if it was never started, follows it to its end. Rejects with SSHError or RunnerError. */
  async bootstrap(access: HostAccess, request: BootstrapRequest, work: Work): Promise<BootstrapOutcome> {
    return this.#connected(access, work.signal, async (connection) => {
      const { runID } = request.claimant;
      const runner = this.#createRunner(connection, access.privilege, work.signal);
      const found = request.begun || request.asksHost ? await runner.inspect(runID, request.asksHost) : undefined;
      const ahead = found && request.asksHost ? await planAhead(found, request) : undefined;
      const claimed = found && request.begun ? found : await this.#claim(runner, request, work.signal);
      const contact = { facts: { ...claimed.facts, hostKey: connection.hostKey.fingerprint }, hostKey: connection.hostKey };
      if (claimed.state === undefined) return { ...contact, ended: { phase: 'Lost', holder: claimed.holder } };
      work.report({ contact });
      const plan = (): Promise<Plan> => planOf(request, claimed, ahead, work.signal);
      const ended = await this.#ended(connection, access.privilege, claimed.state, { ...request, plan }, contact, work);
      request.output.flush();
      return { ...contact, ended };
    });
  }

  /**
   * Ends what lives of the run that has the host, if `isOurs` says that it is to go, cleans the host and confirms it; the host's
   * claim is gone where the outcome is Clean.
   */
  async reclaim(
    access: HostAccess,
    isOurs: (holder: Claimant) => boolean,
    work: Work,
    { run, cleanup, adopts, isGone, timeout = Infinity }: Reclaim = {},
  ): Promise<ReclaimOutcome> {
    return this.#connected(access, work.signal, async (connection) => {
      const { hostKey } = connection;
      const runner = this.#createRunner(connection, access.privilege, work.signal);
      let { holder } = await runner.inspect('');
      if (holder === undefined && adopts !== undefined) {
        if (cleanup === undefined) return { outcome: 'NoCleanupKnown', hostKey };
        await runner.claim(adopts, cleanup, { begun: true });
        holder = adopts;
      }
      const inTheWay = holder !== undefined && !isOurs(holder) ? holder : undefined;
      const orphan = await orphanOf(inTheWay, isGone, work.signal);
      const inUse = orphan !== undefined && (await runner.withdraw(orphan)) ? undefined : inTheWay;
      const runID = inTheWay === undefined ? (holder?.runID ?? run) : run;
      const limited = (signal: AbortSignal): Runner => this.#createRunner(connection, access.privilege, signal);
      const nothing = { outcome: 'Clean', ran: false } as const;
      const result = runID === undefined ? nothing : await cleaned(runID, { runner, limited, work, cleanup, timeout });
      return inUse === undefined ? { ...result, hostKey } : { outcome: 'InUse', holder: inUse, hostKey };
    });
  }

  /** A refusal leaves nothing of us on the host; any other outcome may, also an answer that was cut off. */
  async #claim(runner: Runner, request: BootstrapRequest, signal: AbortSignal): Promise<Found> {
    const { claimant, cleanup, abandoned, isGone, onTouch } = request;
    try {
      const claimed = await runner.claim(claimant, cleanup, { abandoned }).catch(async (refusal: unknown) => {
        const orphan = await orphanOf(refusal instanceof RunnerError ? refusal.holder : undefined, isGone, signal);
        if (orphan === undefined) throw refusal;
        return runner.claim(claimant, cleanup, { abandoned, orphan });
      });
      onTouch();
      return { ...claimed, holder: claimant };
    } catch (error) {
      if (!(error instanceof RunnerError) || error.reason === 'RunnerProtocol') onTouch();
      throw error;
    }
  }

  async #connected<T>(access: HostAccess, signal: AbortSignal, work: (connection: Connection) => Promise<T>): Promise<T> {
    failpoint('before', 'connect');
    const connection = await this.#dialer.connect(access.target, { ...this.#options, signal });
    failpoint('after', 'connect');
    try {
      return await work(connection);
    } finally {
      await connection.close();
    }
  }

  /** Starts the run where it was not started, and follows it to its end or to that of its time. */
  async #ended(
    connection: Connection,
    privilege: Privilege,
    state: RunState,
    request: Planned,
    contact: Contact,
    work: Work,
  ): Promise<Ended> {
    const { runID } = request.claimant;
    const runner = this.#createRunner(connection, privilege, work.signal);
    const before = endOf(state);
    if (before !== undefined) {
      await runner.tidy(runID);
      return before;
    }
    const deadline = new Deadline(request.timeout);
    const limited = this.#createRunner(connection, privilege, AbortSignal.any([work.signal, deadline.signal]));
    try {
      const on = listener(request, contact, deadline, work);
      const plan = state.phase === 'Claimed' ? await request.plan() : undefined;
      const after = await (plan === undefined ? limited.follow(runID, 0, on) : limited.run(runID, plan, request.options, on));
      const ended = endOf(after);
      if (ended !== undefined) return ended;
      throw new RunnerError('RunnerProtocol', `the run ${runID} ended its output while it is ${after.phase}`);
    } catch (error) {
      if (!deadline.signal.aborted || work.signal.aborted) throw error;
    } finally {
      deadline.clear();
    }
    const ended = await this.#timedOut(runner, runID);
    await runner.tidy(runID);
    return ended;
  }

  async #timedOut(runner: ReturnType<RunnerFactory>, runID: string): Promise<Ended> {
    const { state: before } = await runner.inspect(runID);
    const ended = before && endOf(before);
    if (ended?.phase === 'Finished') return ended;
    await runner.kill(runID);
    const { state: after } = await runner.inspect(runID);
    // It may have succeeded in between; if it failed, that is our doing.
    if (after?.phase === 'Finished' && after.exitCode === 0) return after;
    return {
      phase: 'TimedOut',
      startedAt: after !== undefined && 'startedAt' in after ? after.startedAt : new Date(),
      command: before?.phase === 'Running' ? before.command : '',
      outputTail: after !== undefined && 'outputTail' in after ? after.outputTail : '',
    };
  }
}
