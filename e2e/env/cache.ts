/** Artifacts that take long to make (binaries, the hosts' image), kept outside the checkout and made once. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';

/** Told of everything that takes long: `what` has started, and after how many seconds it was done. */
export type Progress = (event: { what: string; seconds?: number }) => void;

/** Runs a step between two progress events. */
export async function timed<T>(progress: Progress, what: string, step: () => Promise<T>): Promise<T> {
  const start = performance.now();
  progress({ what });
  const result = await step();
  progress({ what, seconds: (performance.now() - start) / 1000 });
  return result;
}

export interface Artifact {
  name: string;
  version: string;
  /** Everything that decides how the artifact comes out; its hash is part of the key. */
  recipe: string[];
}

export const cacheFolder = (): string => join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cluster-api-provider-remote');

/** Folder of an artifact in the cache: <name>-<version>-<recipe hash>. */
export function artifactFolder({ name, version, recipe }: Artifact, base = cacheFolder()): string {
  const hash = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12);
  return join(base, `${name}-${version}-${hash}`);
}

/**
 * Path of the artifact's folder; `make` fills an empty folder if the cache doesn't have it. Two processes that ask at once make it
 * once (flock(1), which the kernel releases when its holder dies), and a make that was interrupted leaves nothing that looks done:
 * the folder gets its name last.
 */
export async function cached(artifact: Artifact, make: (folder: string) => Promise<void>, base = cacheFolder()): Promise<string> {
  const folder = artifactFolder(artifact, base);
  if (existsSync(folder)) return folder;
  await mkdir(base, { recursive: true, mode: 0o755 });
  const unlock = await lock(join(base, `.${artifact.name}.lock`));
  try {
    if (existsSync(folder)) return folder;
    const prefix = `.${artifact.name}-making-`;
    for (const left of await readdir(base)) if (left.startsWith(prefix)) await rm(join(base, left), { recursive: true, force: true });
    const making = await mkdtemp(join(base, prefix));
    await make(making);
    await chmod(making, 0o755);
    await rename(making, folder);
    return folder;
  } finally {
    unlock();
  }
}

/** Waits for an exclusive lock on a file; returns what releases it. */
export async function lock(file: string): Promise<() => void> {
  const holder = spawn('flock', [file, 'sh', '-c', 'echo locked; read -r line'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const failed = once(holder, 'exit').then(() => {
    throw new Error(`cannot lock ${file}: flock ended before it had the lock`);
  });
  const locked = once(holder.stdout, 'data');
  await Promise.race([locked, failed]);
  failed.catch(() => undefined);
  // The holder reads from us, so it ends with us, however we end.
  return () => holder.stdin.end();
}
