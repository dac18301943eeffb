/** `make demo-down`: ends the demo, and cleans up after runs that were killed. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanUp, cleanUpAbandoned, existingRuns, isAlive, signal } from '../env/run.ts';

const demos = existingRuns().filter(({ owner }) => owner.purpose === 'demo' && isAlive(owner));
for (const { run, owner } of demos) {
  signal(owner, 'SIGTERM');
  const end = performance.now() + 60_000;
  while ((existsSync(run.folder) || isAlive(owner)) && performance.now() < end) await sleep(50);
  if (!isAlive(owner)) continue;
  signal(owner, 'SIGKILL');
  while (isAlive(owner)) await sleep(10);
  cleanUp(run.folder);
}
const abandoned = cleanUpAbandoned();
process.stdout.write(demos.length + abandoned === 0 ? 'No demo is running.\n' : 'The demo is gone.\n');
