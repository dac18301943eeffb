/** What runner.sh answers. Pure parsers; the formats are described at the top of runner.sh. */
import type { HostFacts } from '../../apis/infrastructure/status.ts';
import { Tail } from '../ssh/output.ts';
import { OutputParser } from './output-parser.ts';
import { date, decodeName, parseResult, splitAtSpace, type JobResult, type Line } from './words.ts';
import { RunnerError, type Claimant, type HostSaid, type RunnerErrorReason, type RunState } from './types.ts';

/** Bytes of output that a state carries. */
export const TAIL = 8 * 1024;
/** Bytes of raw output that runner.sh sends for it. */
const RAW_TAIL = 12 * 1024;

/** The lines between `begin` and `end` that carry `nonce`; undefined if one of the two is missing. */
export function parseAnswer(stdout: string, nonce: string): Line[] | undefined {
  const prefix = `${nonce} `;
  const lines = stdout
    .split('\n')
    .filter((line) => line.startsWith(prefix))
    .map((line) => splitAtSpace(line.slice(prefix.length)));
  const begin = lines.findIndex(([key]) => key === 'begin');
  const end = lines.findIndex(([key]) => key === 'end');
  return begin === -1 || end < begin ? undefined : lines.slice(begin + 1, end);
}

function valueOf(lines: readonly Line[], key: string): string | undefined {
  return lines.find((line) => line[0] === key)?.[1];
}

/** Values of lines `<key> <name> <value>`. */
function valuesOf(lines: readonly Line[], key: string): Map<string, string> {
  return new Map(lines.filter((line) => line[0] === key).map((line) => splitAtSpace(line[1])));
}

const REASONS: readonly string[] = [
  'HostInUse',
  'ClaimLost',
  'HostNotWritable',
  'HostUnsuitable',
  'StillRunning',
] satisfies RunnerErrorReason[];

/** The error that an answer carries. */
export function errorOf(lines: readonly Line[]): RunnerError | undefined {
  const value = valueOf(lines, 'error');
  if (value === undefined) return undefined;
  const [reason, words] = splitAtSpace(value);
  if (!REASONS.includes(reason)) return new RunnerError('RunnerProtocol', `the runner on the host reports an unknown error ${reason}`);
  return reason === 'HostInUse' ? inUse(lines) : new RunnerError(reason as RunnerErrorReason, words.trim());
}

function inUse(lines: readonly Line[]): RunnerError {
  const holder = holderOf(lines);
  if (holder === undefined) return new RunnerError('HostInUse', 'the host is claimed by another run');
  const { namespace, name, uid } = holder.machine;
  const error = new RunnerError('HostInUse', `the host is claimed by run ${holder.runID} of machine ${namespace}/${name} (uid ${uid})`);
  error.holder = holder;
  return error;
}

export function holderOf(lines: readonly Line[]): Claimant | undefined {
  const holder = valuesOf(lines, 'holder');
  const runID = holder.get('run');
  if (runID === undefined) return undefined;
  const value = (key: string): string => holder.get(key) ?? '';
  return { runID, machine: { namespace: value('namespace'), name: value('name'), uid: value('uid') } };
}

export function saidBy(lines: readonly Line[], hostKey: string): HostSaid {
  const facts = valuesOf(lines, 'fact');
  const release = valuesOf(lines, 'release');
  const word = (key: string): string | undefined => facts.get(key)?.trim() || undefined;
  const count = (key: string): number | undefined => {
    const value = Number(facts.get(key));
    return Number.isSafeInteger(value) && value > 0 ? value : undefined;
  };
  const known = withoutGaps({
    hostname: word('hostname'),
    machineID: word('machineID'),
    os: release.get('PRETTY_NAME')?.trim() || undefined,
    kernel: word('kernel'),
    architecture: word('architecture'),
    cpus: count('cpus'),
    memory: count('memory'),
    hostKey,
  });
  return { facts: known, release: Object.fromEntries(release), libc: word('libc') ?? '' };
}

/** Without what the host did not say. */
function withoutGaps(facts: { [K in keyof HostFacts]: HostFacts[K] | undefined }): HostFacts {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
}

/** What a job's end is while its host has not booted since. */
export function ended(startedAt: Date, result: JobResult, outputTail: string): RunState {
  return result.reboots ? { phase: 'Rebooting', startedAt } : finished(startedAt, result, outputTail);
}

function finished(startedAt: Date, result: JobResult, outputTail: string): RunState & { phase: 'Finished' } {
  const { exitCode, finishedAt, sentinel, name } = result;
  return { phase: 'Finished', startedAt, finishedAt, exitCode, ...(exitCode !== 0 && { command: name }), sentinel, outputTail };
}

/** A job's state, with the kind of its last step; undefined where the answer has none. */
export function stateOf(lines: readonly Line[], runID: string): { state: RunState; kind: string } | undefined {
  const value = valueOf(lines, 'state');
  if (value === undefined) return undefined;
  const [phase, rest] = splitAtSpace(value);
  const [began, more] = splitAtSpace(rest);
  const startedAt = date(began);
  const [kind, name] = splitAtSpace(more);
  const outputTail = tailOf(lines, runID);
  switch (phase) {
    case 'Claimed':
      return { state: { phase }, kind: '' };
    case 'Running':
      return { state: { phase, startedAt, age: Number(valueOf(lines, 'age') ?? 0) * 1000, command: decodeName(name) }, kind };
    case 'Rebooting':
      return { state: { phase, startedAt }, kind: 'power' };
    case 'Vanished': {
      const rebooted = valueOf(lines, 'rebooted') !== undefined;
      return { state: { phase, startedAt, command: decodeName(name), rebooted, outputTail }, kind };
    }
    case 'Finished': {
      const result = parseResult(more);
      return { state: finished(startedAt, result, outputTail), kind: result.kind };
    }
    default:
      return undefined;
  }
}

function tailOf(lines: readonly Line[], runID: string): string {
  const raw = Buffer.from(valueOf(lines, 'tail') ?? '', 'base64');
  // Cut out of something longer it may begin within a mark.
  const whole = raw.length < RAW_TAIL ? raw : raw.subarray(raw.indexOf('\n') + 1);
  const tail = new Tail(TAIL);
  const stream = new OutputParser(runID, 0, (event) => {
    if (event.kind === 'output') tail.push(event.chunk);
  });
  stream.write(whole);
  stream.end();
  return tail.toString();
}
