/** Short commands of the machine: run, wait, and fail with what they said. */
import { spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { startTime, waitSync } from './run.ts';

export interface CommandResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}
export interface CommandOptions extends Pick<SpawnOptions, 'cwd' | 'env'> {
  input?: string | Uint8Array;
  /** When this process exits the command is killed with all that it started, unless it must come to its end. */
  toItsEnd?: boolean;
}

/** Commands under way (leaders of process groups of their own), and whether they are to be waited for. */
const underWay = new Map<number, boolean>();
process.on('exit', () => {
  for (const [pid, toItsEnd] of underWay) {
    if (toItsEnd) waitSync(600_000, () => startTime(pid) === undefined);
    else process.kill(-pid, 'SIGKILL');
  }
});

/** Runs a command to its end, whatever its exit code; fails only if it can't be started or is killed by a signal. */
export async function run(
  command: string,
  args: string[],
  { input = '', toItsEnd = false, ...options }: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(command, args, { ...options, stdio: 'pipe', detached: true });
  const { pid } = child;
  if (pid !== undefined) underWay.set(pid, toItsEnd);
  try {
    // A command that doesn't read its input is no error.
    child.stdin.on('error', () => undefined).end(input);
    const [stdout, stderr, [exitCode, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
    ]);
    if (exitCode === null) throw new Error(`was killed by ${signal}`);
    return { stdout, stderr, exitCode };
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')} ${pid === undefined ? 'could not be started' : (error as Error).message}`, {
      cause: error,
    });
  } finally {
    if (pid !== undefined) underWay.delete(pid);
  }
}

/** Standard output of a command that must succeed. */
export async function must(command: string, args: string[], options?: CommandOptions): Promise<string> {
  const { stdout, stderr, exitCode } = await run(command, args, options);
  if (exitCode === 0) return stdout;
  const said = (stderr || stdout).trim().split('\n').slice(-20).join('\n');
  throw new Error(`${command} ${args.join(' ')} failed with exit code ${exitCode}: ${said}`);
}
