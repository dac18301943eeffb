/** One execution of one machine's bootstrap on its host. */
import type { HostFacts } from '../../apis/infrastructure/status.ts';
import type { Plan } from '../bootstrap/plan.ts';
import type { CleanupPlan } from '../cleanup/plan.ts';
import type { Connection, Privilege } from '../ssh/types.ts';

/** Who claims a host. */
export interface Claimant {
  /** `[a-z0-9-]{1,63}`, unique for ever. */
  runID: string;
  machine: { namespace: string; name: string; uid: string };
}

/** What a host says of itself. */
export interface HostSaid {
  facts: HostFacts;
  /** Of os-release(5): ID, PRETTY_NAME, VERSION, VERSION_CODENAME and VERSION_ID, as far as they are there. */
  release: Partial<Record<string, string>>;
  /** Such as `glibc 2.36`; empty where there is another. */
  libc: string;
}

/** What the claim on a host says of a run. */
export type RunState =
  /** Claimed; no command ran. */
  | { phase: 'Claimed' }
  /** startedAt: by the host's clock, which may be wrong. age: of the run in ms, by the host's uptime. */
  | { phase: 'Running'; startedAt: Date; age: number; command: string }
  /** `command` is the one that failed; sentinel: false if the bootstrap data speaks of Cluster API's sentinel file and the run did not write it. */
  | { phase: 'Finished'; startedAt: Date; finishedAt: Date; exitCode: number; command?: string; sentinel: boolean; outputTail: string }
  /** It succeeded, and asked for a reboot that has not come yet; Finished when it has. */
  | { phase: 'Rebooting'; startedAt: Date }
  /** Started and no longer alive without an exit code: killed, or the host has booted since (rebooted). */
  | { phase: 'Vanished'; startedAt: Date; command: string; rebooted: boolean; outputTail: string };

export type RunnerErrorReason =
  | 'HostInUse' // the claim belongs to another run; message names it and its machine
  | 'ClaimLost' // the host has no claim of this run, or it is being cleaned up
  | 'HostNotWritable' // read-only, full, or the user has no rights
  | 'HostUnsuitable' // a tool that the runner needs is missing; message names it
  | 'HostRebooting' // the run succeeded and asked for a reboot, which has not come yet
  | 'StillRunning' // processes of the run that can't be killed; message names them
  | 'RunnerProtocol'; // the host answered something else: rc files that print, a broken shell

export class RunnerError extends Error {
  readonly reason: RunnerErrorReason;
  /** Of HostInUse: who has the host. */
  holder?: Claimant;
  constructor(reason: RunnerErrorReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RunnerError';
    this.reason = reason;
  }
}

export interface RunOptions {
  /** Run the shared commands as one `set -e` script. */
  commandsAsScript: boolean;
  /** Where the commands start; made where it is missing. */
  workingDir: string;
}

export interface ClaimOptions {
  /** Another operator bootstrapped the host for this machine: the claim is of a run that began and is never started. */
  begun?: boolean;
  /** Run ID, or UID of the machine, whose claim a person gave up: what lives of that run is ended, and this claim takes its place. */
  abandoned?: string | undefined;
  /** Run ID of a claim whose machine is gone: where nothing was ever started under it, this claim takes its place. */
  orphan?: string | undefined;
}

/** What a run shows, in order. `offset`: where the next follow goes on after this event, in bytes. */
export type OutputEvent =
  | { kind: 'output'; chunk: Buffer; offset: number }
  /** The command that started. */
  | { kind: 'command'; name: string; at: Date; offset: number };

export type FollowEvent =
  /** Before all others, where the run lives. age: in ms, by the host's uptime. */
  { kind: 'running'; age: number } | OutputEvent;

/**
 * The runner's verbs over one connection. Every verb is idempotent: after a lost connection the caller connects again and
 * calls the same verb. All reject with SSHError or RunnerError.
 */
export interface Runner {
  /** First contact: claims the host for `claimant` (or finds that it has it already) and reads facts and state. */
  claim(claimant: Claimant, cleanup: CleanupPlan | undefined, options?: ClaimOptions): Promise<HostSaid & { state: RunState }>;
  /** Facts and the state of `runID`'s claim without claiming; undefined: the host has no claim of that run. another: a verb follows. */
  inspect(runID: string, another?: boolean): Promise<HostSaid & { state: RunState | undefined; holder: Claimant | undefined }>;
  /** Uploads the plan and starts it detached, at most once per claim however often it is called; then as follow from the beginning. */
  run(runID: string, plan: Plan, options: RunOptions, on: (event: FollowEvent) => void): Promise<RunState>;
  /**
   * Follows the run's output from byte `offset` (0, or that of an event) until it ended, and tidies; resolves with its final
   * state, with Rebooting if a reboot is to come, or with Claimed if it was not started.
   */
  follow(runID: string, offset: number, on: (event: FollowEvent) => void): Promise<RunState>;
  /** Kills what lives of the run and waits until it is dead. */
  kill(runID: string): Promise<void>;
  /** Kills the run, runs `cleanup`, or the plan left beside the claim, detached and follows it, confirms it, and removes the claim. */
  clean(runID: string, on: (event: FollowEvent) => void, cleanup?: CleanupPlan): Promise<CleanResult>;
  /** Of a run whose machine is gone: removes its claim where nothing was ever started under it, nor is any more. Resolves with whether nobody has the host now. */
  withdraw(runID: string): Promise<boolean>;
  /** Removes bootstrap data (always) and output (after a success) of a finished run. */
  tidy(runID: string): Promise<void>;
}

export type CleanResult =
  /** The claim is gone, or the host never had one of this run. */
  | { outcome: 'Clean'; ran: boolean }
  /** A command or a check failed, or none was come to (its name is empty); message says how, outputTail its last lines. The claim stays. */
  | { outcome: 'Failed'; command: string; message: string; outputTail: string }
  /** Claimed and started, and there is no cleanup plan, neither given nor in the claim. The claim stays. */
  | { outcome: 'NoCleanupKnown' };

/** Makes the verbs over a connection. */
export type RunnerFactory = (connection: Connection, privilege: Privilege, signal: AbortSignal) => Runner;
