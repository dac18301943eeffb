/** Programs that a release is made with: run to their end, in silence, and failing with what they said. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Standard output of a program that must succeed. */
export async function must(program: string, args: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Promise<string> {
  try {
    return (await execute(program, args, { maxBuffer: 256 * 1024 * 1024, ...options })).stdout;
  } catch (error) {
    const { stderr, stdout, message } = error as { stderr?: string; stdout?: string; message: string };
    const said = ((stderr ?? '') || (stdout ?? '') || message).trim().split('\n').slice(-20).join('\n');
    throw new Error(`${[program, ...args].join(' ')} failed: ${said}`, { cause: error });
  }
}
