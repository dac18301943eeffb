/**
 * A run: one process's use of the machine. Its folder holds everything that the run writes, and a manifest of everything that it made
 * outside the folder, so that whatever happens to the process, the next one can take it all away again.
 */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lock } from './cache.ts';
import { detach } from './loop.ts';

/** A process ID together with its start time (clock ticks since boot) names one process for ever. */
export interface ProcessID {
  pid: number;
  start: number;
}

/** Something that outlives the process that made it. The first entry of a manifest is its owner. */
export type Made =
  | ({ kind: 'owner'; purpose: string } & ProcessID)
  | ({ kind: 'process'; name: string } & ProcessID)
  | { kind: 'network namespace'; name: string }
  | { kind: 'link'; name: string }
  | { kind: 'mount'; path: string }
  | { kind: 'cgroup'; path: string }
  /** A file that is a disk, by a loop device. */
  | { kind: 'disk'; path: string };

export interface Run {
  /** Unique among the runs that exist; names and addresses on the machine are made from it. */
  index: number;
  /** Readable by its user only. */
  folder: string;
}

/** Folder of all runs of this user. */
const runsFolder = (): string => join(tmpdir(), `cluster-api-provider-remote-${process.getuid?.() ?? 0}`);
const manifestOf = (folder: string): string => join(folder, 'manifest.jsonl');

/** Start time of a process, or undefined where there is none (or only a zombie: it has ended). */
export function startTime(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command in brackets may hold anything; the fields after it start with the state (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
}

export const isAlive = ({ pid, start }: ProcessID): boolean => startTime(pid) === start;

/** Sends a signal to exactly this process; false if it has ended. */
export function signal(id: ProcessID, name: NodeJS.Signals, wholeGroup = false): boolean {
  if (!isAlive(id)) return false;
  try {
    return process.kill(wholeGroup ? -id.pid : id.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Everything that the run has made so far. A last line cut short by a kill was of something not yet made. */
export function readManifest(folder: string): Made[] {
  if (!existsSync(manifestOf(folder))) return [];
  const lines = readFileSync(manifestOf(folder), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Made);
}

/** Writes down what is about to be made (or, for a process, has just been). */
export function record(run: Pick<Run, 'folder'>, made: Made): void {
  appendFileSync(manifestOf(run.folder), `${JSON.stringify(made)}\n`);
}

/** Runs that exist now, with their owners. */
export function existingRuns(base = runsFolder()): { run: Run; owner: ProcessID & { purpose: string } }[] {
  const names = existsSync(base) ? readdirSync(base).filter((name) => /^\d+$/.test(name)) : [];
  return names.flatMap((name) => {
    const folder = join(base, name);
    const [owner] = readManifest(folder);
    return owner?.kind === 'owner' ? [{ run: { index: Number(name), folder }, owner }] : [];
  });
}

/**
 * Starts a run, after cleaning up runs whose owner is gone. It ends with `cleanUp`, at the latest when this process exits.
 * @param purpose what the run is for, such as "demo".
 */
export async function startRun(purpose: string, base = runsFolder()): Promise<Run> {
  mkdirSync(base, { recursive: true, mode: 0o700 });
  if (statSync(base).uid !== process.getuid?.()) throw new Error(`${base} belongs to another user: remove it`);
  const unlock = await lock(join(base, '.lock'));
  try {
    cleanUpAbandoned(base);
    const staging = join(base, `.new-${process.pid}`);
    mkdirSync(staging, { recursive: true, mode: 0o700 });
    const owner: Made = { kind: 'owner', purpose, pid: process.pid, start: startTime(process.pid) ?? 0 };
    writeFileSync(manifestOf(staging), `${JSON.stringify(owner)}\n`);
    let index = 0;
    while (existsSync(join(base, String(index)))) index++;
    const folder = join(base, String(index));
    renameSync(staging, folder);
    return { index, folder };
  } finally {
    unlock();
  }
}

/** Cleans up after every run whose owner has gone without doing it. Returns how many there were. */
export function cleanUpAbandoned(base = runsFolder()): number {
  const abandoned = existingRuns(base).filter(({ owner }) => !isAlive(owner));
  for (const { run } of abandoned) cleanUp(run.folder);
  return abandoned.length;
}

/** Makes this process clean up all its runs when it exits or is told to. Call it once, in the process's own realm (not in a Jest test). */
export function cleanUpAtExit(): void {
  process.once('exit', () => {
    for (const { run, owner } of existingRuns()) if (owner.pid === process.pid && isAlive(owner)) cleanUp(run.folder);
  });
  for (const [name, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const)
    process.once(name, () => process.exit(128 + number));
}

/**
 * Takes away everything that a run made. Synchronous, so that it works while the process exits; harmless when repeated. A run that
 * another process is still using is refused.
 */
export function cleanUp(folder: string): void {
  const made = readManifest(folder);
  const [owner] = made;
  if (owner?.kind === 'owner' && owner.pid !== process.pid && isAlive(owner)) {
    throw new Error(`the run in ${folder} (${owner.purpose}) is in use by process ${owner.pid}`);
  }
  const processes = made.filter((entry) => entry.kind === 'process');
  for (const id of processes) signal(id, 'SIGKILL', true);
  waitSync(10_000, () => !processes.some(isAlive));
  const namespaces = made.flatMap((entry) => (entry.kind === 'network namespace' ? [`netns del ${entry.name}`] : []));
  const links = made.flatMap((entry) => (entry.kind === 'link' ? [`link del ${entry.name}`] : []));
  if (namespaces.length + links.length > 0) {
    // A namespace's own links go some time after it: the links first, so that their names are free at once.
    const commands = [...links, ...namespaces].join('\n');
    // -force: some of them may not have come into being, or be gone by now.
    spawnSync('ip', ['-force', '-batch', '-'], { input: `${commands}\n`, stdio: ['pipe', 'ignore', 'ignore'] });
  }
  for (const entry of made) {
    if (entry.kind === 'cgroup') removeCgroup(entry.path);
    if (entry.kind === 'mount') spawnSync('umount', ['--lazy', entry.path], { stdio: 'ignore' });
    if (entry.kind === 'disk') detach(entry.path);
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

/** Ends what is left in a control group that the run made, and removes it with those below it. */
function removeCgroup(path: string): void {
  waitSync(5000, () => {
    for (const folder of cgroupTree(path)) {
      for (const pid of readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n')) {
        // 0 is a process that this namespace doesn't see.
        if (Number(pid) > 0) process.kill(Number(pid), 'SIGKILL');
      }
      rmdirSync(folder);
    }
    return true;
  });
}

/** The group and all below it, the deepest first. */
function cgroupTree(path: string): string[] {
  if (!existsSync(path)) return [];
  const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...below.flatMap((entry) => cgroupTree(join(path, entry.name))), path];
}

/** Waits without letting anything else go on, as while the process exits. A step that fails counts as not done yet. */
export function waitSync(milliseconds: number, done: () => boolean): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const end = performance.now() + milliseconds;
  const tried = (): boolean => {
    try {
      return done();
    } catch {
      return false;
    }
  };
  while (!tried() && performance.now() < end) Atomics.wait(sleeper, 0, 0, 10);
}
