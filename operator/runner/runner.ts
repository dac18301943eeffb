/** The runner's verbs: composes programs, executes them over a connection, reads their answers. */
import { randomBytes } from 'node:crypto';
import type { Plan } from '../bootstrap/plan.ts';
import type { CleanupPlan } from '../cleanup/plan.ts';
import { failpoint, type HostVerb } from '../framework/failpoint.ts';
import type { Connection, ExecOptions, ExecResult, Privilege } from '../ssh/types.ts';
import { AnswerStream, type Stream } from './answer-stream.ts';
import { cleanupFiles, planFiles } from './plan-files.ts';
import { RUNNER_PATHS, compose, sources, type RunnerPaths, type Sources, type Upload } from './program.ts';
import { TAIL, ended, errorOf, holderOf, parseAnswer, saidBy, stateOf } from './protocol.ts';
import {
  RunnerError,
  type Claimant,
  type ClaimOptions,
  type CleanResult,
  type FollowEvent,
  type HostSaid,
  type RunOptions,
  type RunState,
  type Runner,
  type RunnerFactory,
} from './types.ts';
import type { Line } from './words.ts';

/** Milliseconds for a verb that only looks or writes. */
const VERB_TIMEOUT = 60_000;
/** A follow's last word. */
const SEEN = 'seen\n';
/** What is said of an answer that is none. */
const EXCERPT = 500;

/** The runner on hosts as they are. */
export const createRunner: RunnerFactory = runnerFactory(RUNNER_PATHS);

/** A runner that keeps its things elsewhere on the host. */
export function runnerFactory(paths: RunnerPaths): RunnerFactory {
  const programs = sources(paths);
  return (connection, privilege, signal) => new ShellRunner(connection, privilege, signal, programs);
}

/** What a verb's exec needs beside its call. */
interface Call {
  verb: HostVerb;
  args: string[];
  uploads?: Upload[];
  /** The verb waits on the host, and ends there when our side of standard input closes. */
  waits?: boolean;
  /** Another call follows. */
  another?: boolean;
}

/** What a follow follows; `first`: the call that it begins with. */
interface Following {
  runID: string;
  job: string;
  on: (event: FollowEvent) => void;
  first?: Call;
}

/** A job's state and the kind of step that it was at. */
interface JobState {
  state: RunState;
  kind: string;
}

class ShellRunner implements Runner {
  readonly #connection: Connection;
  readonly #privilege: Privilege;
  readonly #signal: AbortSignal;
  readonly #sources: Sources;

  constructor(connection: Connection, privilege: Privilege, signal: AbortSignal, programs: Sources) {
    this.#connection = connection;
    this.#privilege = privilege;
    this.#signal = signal;
    this.#sources = programs;
  }

  async claim(
    claimant: Claimant,
    cleanup: CleanupPlan | undefined,
    { begun = false, abandoned = '', orphan = '' }: ClaimOptions = {},
  ): Promise<HostSaid & { state: RunState }> {
    const { namespace, name, uid } = claimant.machine;
    const uploads = cleanup === undefined ? [] : cleanupFiles(cleanup);
    const args = [claimant.runID, namespace, name, uid, begun ? 'yes' : 'no', abandoned, orphan];
    const lines = await this.#ask({ verb: 'claim', args, uploads, another: true });
    const found = stateOf(lines, claimant.runID);
    if (found === undefined) throw new RunnerError('RunnerProtocol', 'the host took the claim and did not say its state');
    return { ...this.#saidBy(lines), state: found.state };
  }

  async inspect(runID: string, another = false): Promise<HostSaid & { state: RunState | undefined; holder: Claimant | undefined }> {
    const lines = await this.#ask({ verb: 'inspect', args: [runID], another });
    return { ...this.#saidBy(lines), state: stateOf(lines, runID)?.state, holder: holderOf(lines) };
  }

  async run(runID: string, plan: Plan, options: RunOptions, on: (event: FollowEvent) => void): Promise<RunState> {
    const uploads = [...planFiles(plan, options), this.#program()];
    return (await this.#followed({ runID, job: 'bootstrap', on, first: { verb: 'run', args: [runID], uploads } })).state;
  }

  async follow(runID: string, offset: number, on: (event: FollowEvent) => void): Promise<RunState> {
    return (await this.#followed({ runID, job: 'bootstrap', on }, offset)).state;
  }

  async kill(runID: string): Promise<void> {
    await this.#ask({ verb: 'kill', args: [runID] });
  }

  async withdraw(runID: string): Promise<boolean> {
    const lines = await this.#ask({ verb: 'withdraw', args: [runID] });
    return lines.some(([key, value]) => key === 'withdraw' && value === 'gone');
  }

  async tidy(runID: string): Promise<void> {
    await this.#ask({ verb: 'tidy', args: [runID] });
  }

  async clean(runID: string, on: (event: FollowEvent) => void, cleanup?: CleanupPlan): Promise<CleanResult> {
    try {
      return await this.#clean(runID, on, cleanup);
    } catch (error) {
      // Another manager has confirmed its own meanwhile.
      if (error instanceof RunnerError && error.reason === 'ClaimLost') return { outcome: 'Clean', ran: false };
      throw error;
    }
  }

  async #clean(runID: string, on: (event: FollowEvent) => void, cleanup: CleanupPlan | undefined): Promise<CleanResult> {
    const uploads = [...(cleanup === undefined ? [] : cleanupFiles(cleanup)), this.#program()];
    const lines = await this.#ask({ verb: 'clean', args: [runID, cleanup === undefined ? 'no' : 'yes'], uploads, waits: true });
    const [answer = '', job = ''] = (lines.find(([key]) => key === 'clean')?.[1] ?? '').split(' ');
    switch (answer) {
      case 'absent':
      case 'never':
        return { outcome: 'Clean', ran: false };
      case 'unknown':
        return { outcome: 'NoCleanupKnown' };
      case 'confirmed':
        return this.#release(runID);
      case 'follow':
        return this.#cleaned({ runID, job, on });
      default:
        throw new RunnerError('RunnerProtocol', `the runner on the host answers the cleanup with "${answer}"`);
    }
  }

  async #cleaned(following: Following): Promise<CleanResult> {
    try {
      const { state, kind } = await this.#followed(following);
      return state.phase === 'Finished' && state.exitCode === 0 ? await this.#release(following.runID) : failure(state, kind);
    } catch (error) {
      // Another manager saw the end before, and released the host: asked again, it says that there is nothing to clean.
      if (error instanceof RunnerError && error.reason === 'ClaimLost') return this.clean(following.runID, following.on);
      throw error;
    }
  }

  /** Removes the claim; the host looks again whether its cleanup is confirmed. */
  async #release(runID: string): Promise<CleanResult> {
    await this.#ask({ verb: 'release', args: [runID] });
    return { outcome: 'Clean', ran: true };
  }

  #saidBy(lines: readonly Line[]): HostSaid {
    return saidBy(lines, this.#connection.hostKey.fingerprint);
  }

  #program(): Upload {
    return { name: 'program', content: this.#sources.detached };
  }

  async #ask(call: Call): Promise<Line[]> {
    const nonce = newNonce();
    const result = await this.#exec(call, { ...this.#execOptions(call, nonce), signal: this.#signal, timeout: VERB_TIMEOUT });
    const lines = parseAnswer(result.stdout, nonce);
    if (lines === undefined) throw noAnswer(result);
    const error = errorOf(lines);
    if (error !== undefined) throw error;
    return lines;
  }

  /** Everything that is executed on the host. */
  async #exec({ verb }: Call, options: ExecOptions): Promise<ExecResult> {
    failpoint('before', 'exec', verb);
    const result = await this.#connection.exec(options);
    failpoint('after', 'exec', verb);
    return result;
  }

  #execOptions({ verb, args, uploads, waits = false, another = false }: Call, nonce: string): Omit<ExecOptions, 'signal'> {
    const program = compose(this.#sources.runner, nonce, verb, args, uploads);
    return { privilege: this.#privilege, program, keepStdin: waits, another, timeout: VERB_TIMEOUT };
  }

  /** To the end, whose traces that nobody needs any more are then gone from the host. */
  async #followed(following: Following, offset = 0): Promise<JobState> {
    const { tidied, ...end } = await this.#toEnd(following, offset);
    if (following.job === 'bootstrap' && end.state.phase !== 'Claimed' && !tidied) await this.tidy(following.runID);
    return end;
  }

  /** Streams until the end. A stream that ends without it is of a job that vanished, or that ended unseen: looks again. */
  async #toEnd(following: Following, offset: number): Promise<JobState & { tidied: boolean }> {
    const { runID, job } = following;
    let call = following.first ?? followCall(following, offset);
    for (let from = offset; ; call = followCall(following, from)) {
      const { head, live, result, tail, offset: reached, tidied } = await this.#stream(call, following, from);
      const now = stateOf(head, runID);
      if (now === undefined) throw new RunnerError('RunnerProtocol', 'the runner on the host did not say the state of the run');
      if (now.state.phase === 'Claimed' || now.state.phase === 'Rebooting') return { ...now, tidied };
      // What was not seen here of the last lines is still on the host, unless they are of a success.
      const whole = from === 0 || tail.bytes.length === TAIL || (tidied && result?.exitCode === 0);
      if (result !== undefined && whole) return { state: ended(now.state.startedAt, result, tail.toString()), kind: result.kind, tidied };
      if (result !== undefined || !live) return { ...(await this.#state(runID, job)), tidied };
      from = reached;
    }
  }

  /** One exec of a follow: as long as the run lives, or what there is of its output. */
  async #stream(call: Call, { runID, on }: Following, offset: number): Promise<Stream & { tidied: boolean }> {
    const nonce = newNonce();
    const answered = Promise.withResolvers<void>();
    const lastWord = Promise.withResolvers<string>();
    const { verb } = call;
    const onHead = (head: Line[]): void => {
      failpoint('during', 'exec', verb);
      answered.resolve();
      const state = stateOf(head, runID)?.state;
      if (state?.phase === 'Running') on({ kind: 'running', age: state.age });
    };
    const stream = new AnswerStream(nonce, runID, offset, on, onHead, () => lastWord.resolve(SEEN));
    const result = await this.#exec(call, {
      ...this.#execOptions(call, nonce),
      signal: this.#signal,
      dialogue: { answered: answered.promise, lastWord: lastWord.promise },
      onStdout: (chunk) => stream.write(chunk),
    });
    const brought = stream.end();
    if (brought === undefined) throw noAnswer(result);
    const error = errorOf(brought.head);
    if (error !== undefined) throw error;
    return { ...brought, tidied: result.exitCode === 0 };
  }

  async #state(runID: string, job: string): Promise<JobState> {
    const found = stateOf(await this.#ask({ verb: 'state', args: [runID, job] }), runID);
    if (found === undefined) throw new RunnerError('RunnerProtocol', 'the runner on the host did not say the state of the run');
    return found;
  }
}

function followCall({ runID, job }: Following, offset: number): Call {
  return { verb: 'follow', args: [runID, job, String(offset + 1)] };
}

function newNonce(): string {
  return randomBytes(16).toString('hex');
}

function noAnswer({ exitCode, stderr }: ExecResult): RunnerError {
  // Not standard output, which may hold what a run has printed.
  const words = stderr
    .trim()
    .slice(-EXCERPT)
    .replace(/[A-Za-z0-9+/=]{24,}/g, '…'); // a shell that quotes what it does not understand quotes uploads
  return new RunnerError(
    'RunnerProtocol',
    `the shell on the host ended with exit code ${exitCode} and without the runner's answer${words ? `; it said: ${words}` : ''}`,
  );
}

function failure(state: RunState, kind: string): CleanResult {
  switch (state.phase) {
    case 'Finished': {
      const command = state.command ?? '';
      const message = kind === 'check' ? 'does not hold' : `failed with exit code ${state.exitCode}`;
      return { outcome: 'Failed', command, message, outputTail: state.outputTail };
    }
    case 'Vanished':
      return { outcome: 'Failed', command: state.command, message: 'the cleanup was cut off', outputTail: state.outputTail };
    default:
      return { outcome: 'Failed', command: '', message: 'the cleanup was not started', outputTail: '' };
  }
}
