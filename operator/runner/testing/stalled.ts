/** Hosts that take their time: work that waits in the middle until it may go on. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runnerFactory } from '../runner.ts';
import type { Runner } from '../types.ts';
import { type LocalHost, until } from './local.ts';

export interface Stalled<T> {
  work: Promise<PromiseSettledResult<T>[]>;
  goOn: () => void;
}

/** Waits in the first call of `tool` whose arguments are as `pattern` (of the shell's case) says: when data is uploaded and not yet in its place if not said otherwise. */
export async function stalled<T>(
  host: LocalHost,
  begin: (slowly: (signal: AbortSignal) => Runner) => Promise<T>,
  tool = 'mv',
  pattern = '*/data.*',
): Promise<Stalled<T>> {
  const slow = host.path('slow');
  const [gate, reached] = [join(slow, 'gate'), join(slow, 'reached')];
  mkdirSync(slow);
  execFileSync('mkfifo', [gate]);
  const script = `#!/bin/sh
case "$*" in ${pattern}) [ -e ${reached} ] || { : >${reached}; read x <${gate}; } ;; esac
PATH=${host.paths.path}
exec ${tool} "$@"
`;
  writeFileSync(join(slow, tool), script, { mode: 0o755 });
  const factory = runnerFactory({ ...host.paths, path: `${slow}:${host.paths.path}` });
  const work = Promise.allSettled([begin((signal) => factory(host.connect(), 'plain', signal))]);
  await until(() => existsSync(reached), `${tool} to be called`);
  return { work, goOn: () => writeFileSync(gate, 'go\n') };
}
