/** Before all suites: the environment that they share. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEnvironment } from '../env/environment.ts';
import { managers } from '../env/managers.ts';
import { cleanUpAtExit } from '../env/run.ts';
import { ENVIRONMENT_VARIABLE } from './shared.ts';

export default async function setup(): Promise<void> {
  cleanUpAtExit();
  const environment = await startEnvironment({
    purpose: 'e2e suites',
    managers: [...managers],
    controllerManager: true,
    audit: true,
    progress: ({ what, seconds }) => process.stderr.write(seconds === undefined ? '' : `${what}: ${seconds.toFixed(1)} s\n`),
  });
  const path = join(environment.state.run.folder, 'state.json');
  writeFileSync(path, JSON.stringify(environment.state));
  process.env[ENVIRONMENT_VARIABLE] = path;
  teardown.stop = environment.stop;
}

/** What the teardown, which Jest calls in the same process, has to do. */
export const teardown: { stop: () => Promise<void> } = { stop: () => Promise.resolve() };
