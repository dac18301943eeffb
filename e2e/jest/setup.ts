/** Before all suites: the environment that they share. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RIGHTS, titleOf } from '../../apis/rights.ts';
import { startEnvironment } from '../env/environment.ts';
import { managers } from '../env/managers.ts';
import { cleanUpAtExit } from '../env/run.ts';
import { forbiddenTo, unusedRights } from '../fixtures/audit.ts';
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
  teardown.judge = (whole) => judge(environment.controlPlane.auditLog ?? '', whole);
}

/** What the teardown, which Jest calls in the same process, has to do; `whole`: every suite ran. */
export const teardown: { judge: (whole: boolean) => void; stop: () => Promise<void> } = {
  judge: () => undefined,
  stop: () => Promise.resolve(),
};

/** The managers of all suites together have the rights that they need, and, where all suites ran, no other. */
function judge(auditLog: string, whole: boolean): void {
  const forbidden = forbiddenTo(auditLog);
  if (forbidden !== undefined) throw new Error(forbidden);
  const unused = whole ? unusedRights(auditLog, RIGHTS) : [];
  if (unused.length === 0) return;
  const named = unused.map((right) => `${titleOf(right)}.${right.group}`);
  throw new Error(`apis/rights.ts grants what no manager of any suite used: ${named.join(', ')}. Use it in a suite, or remove it`);
}
