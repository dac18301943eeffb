/** Before all suites: the environment that they share. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEnvironment } from '../env/environment.ts';
import { managers } from '../env/managers.ts';
import { cleanUpAtExit } from '../env/run.ts';
import { requestsOf } from '../fixtures/audit.ts';
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
  teardown.judge = () => expectNothingForbidden(environment.controlPlane.auditLog ?? '');
}

/** What the teardown, which Jest calls in the same process, has to do. */
export const teardown: { judge: () => void; stop: () => Promise<void> } = { judge: () => undefined, stop: () => Promise.resolve() };

/** Nothing that the managers of all suites asked for may have been beyond their rights. In a namespace that goes, nobody may make Events. */
function expectNothingForbidden(auditLog: string): void {
  const forbidden = requestsOf(auditLog, 0, { everything: true }).filter(
    ({ code, message }) => code === 403 && !message.includes('being terminated'),
  );
  const first = forbidden.slice(0, 5).map(({ what, namespace, name, message }) => `${what} ${namespace}/${name}: ${message}`);
  if (first.length > 0) throw new Error(`managers were refused ${forbidden.length} requests, such as:\n${first.join('\n')}`);
}
