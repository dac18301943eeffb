/** Short commands of the machine: run, wait, and fail with what they said. */
import { execFile, type ExecFileOptions } from 'node:child_process';

export interface CommandResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}
export interface CommandOptions extends Pick<ExecFileOptions, 'cwd' | 'env' | 'timeout'> {
  input?: string;
  /** Told each line of standard error as it comes. */
  onLine?: (line: string) => void;
}

/** Runs a command to its end, whatever its exit code; fails only if it can't be started or is killed by a signal. */
export function run(command: string, args: string[], { input, onLine, ...options }: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { maxBuffer: 256 << 20, ...options }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code;
      if (typeof exitCode === 'number') resolve({ stdout, stderr, exitCode });
      else
        reject(
          new Error(`${command} ${args.join(' ')} ${error?.signal ? `was killed by ${error.signal}` : 'could not be started'}`, {
            cause: error,
          }),
        );
    });
    // A command that doesn't read its input is no error.
    child.stdin?.on('error', () => undefined).end(input ?? '');
    if (onLine !== undefined) child.stderr?.on('data', (chunk: string) => chunk.split('\n').filter(Boolean).forEach(onLine));
  });
}

/** Standard output of a command that must succeed. */
export async function must(command: string, args: string[], options?: CommandOptions): Promise<string> {
  const { stdout, stderr, exitCode } = await run(command, args, options);
  if (exitCode === 0) return stdout;
  const said = (stderr || stdout).trim().split('\n').slice(-20).join('\n');
  throw new Error(`${command} ${args.join(' ')} failed with exit code ${exitCode}: ${said}`);
}
