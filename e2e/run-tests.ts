/**
 * `make test`: every check and every test, one after the other, whatever fails; with the names of stages, only these. The last line is
 * the sum of what the runners themselves counted; a check counts as one, and so does a runner that crashed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Count, countOf, type JestReport } from './count.ts';
import { requirePrerequisites } from './env/prerequisites.ts';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules/.bin', name);
const reports = mkdtempSync(join(tmpdir(), 'test-report-'));
const report = join(reports, 'report.json');
process.on('exit', () => rmSync(reports, { recursive: true }));

/**
 * Runs a command of the checkout with its output on the terminal; true if it succeeded.
 * @param timeout ms after which it is told to end, and has failed.
 */
function succeeds(command: string, args: string[], timeout?: number): boolean {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', timeout });
  if (error !== undefined) console.error(`${command} ${args.join(' ')} could not be run to its end: ${error.message}`);
  return status === 0;
}

const scripts = (): string[] => {
  const { stdout } = spawnSync('git', ['-c', `safe.directory=${root}`, 'ls-files', '*.sh', '.ci/run'], { cwd: root, encoding: 'utf8' });
  // Bootstrap data of the corpus begins with a line of its own.
  return stdout.split('\n').filter((file) => file !== '' && !file.startsWith('e2e/corpus/'));
};

const one = (success: boolean): Count => (success ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });

const check =
  (command: string, ...args: string[]) =>
  (): Count =>
    one(succeeds(command, args));

/**
 * The short form of `make chaos`, with one order of faults, so that a failure is not one that comes and goes. It has the machine to
 * itself: beside other suites the operator gets to do so little that hardly a host changes hands.
 */
const campaign = (): Count =>
  one(succeeds(process.execPath, ['e2e/chaos/main.ts', '--seed', '1', '--duration', '80', '--hosts', '20'], 420_000));

const jest =
  (project: string, ...args: string[]) =>
  (): Count => {
    rmSync(report, { force: true });
    const runner = [join(root, 'node_modules/jest/bin/jest.js'), '--selectProjects', project, '--json', `--outputFile=${report}`];
    const success = succeeds(process.execPath, [...runner, ...args]);
    return countOf(existsSync(report) ? (JSON.parse(readFileSync(report, 'utf8')) as JestReport) : undefined, success);
  };

const stages: [string, () => Count][] = [
  ['lint', check(bin('eslint'), '.')],
  ['types', check(bin('tsc'), '--noEmit')],
  ['format', check(bin('prettier'), '--check', '--log-level=warn', '.')],
  ['generated files', check(process.execPath, 'apis/generate/main.ts', '--check')],
  ['shell scripts', check('shellcheck', ...scripts())],
  ['unit tests', jest('unit', '--maxWorkers=4')],
  ['end-to-end suites', jest('e2e', '--maxWorkers=3')],
  ['campaign of faults', campaign],
];

const names = process.argv.slice(2);
const chosen = stages.filter(([name]) => names.length === 0 || names.includes(name));
if (chosen.length < names.length) throw new Error(`stages are: ${stages.map(([name]) => name).join(', ')}`);
const endToEnd = chosen.some(([name]) => ['end-to-end suites', 'campaign of faults'].includes(name));

// Before everything: the unit tests need shells and an SSH server, too.
try {
  await requirePrerequisites(
    { controlPlane: endToEnd, hosts: endToEnd, tests: true },
    ({ what, seconds }) => seconds === undefined || console.log(`${what} (${seconds.toFixed(0)} s)`),
  );
} catch (error) {
  console.log(`${error instanceof Error ? error.message : String(error)}\n0 passed, 1 failed`);
  process.exit(1);
}

const counts = chosen.map(([name, run]) => {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const count = run();
  const skipped = count.skipped === undefined ? '' : `, ${count.skipped} skipped`;
  console.log(
    `== ${name}: ${count.passed} passed, ${count.failed} failed${skipped} (${((performance.now() - start) / 1000).toFixed(0)} s)`,
  );
  return { name, ...count };
});
const sum = (key: 'passed' | 'failed'): number => counts.reduce((total, count) => total + count[key], 0);
const bad = counts.filter(({ failed }) => failed > 0).map(({ name }) => name);
if (bad.length > 0) console.log(`\nFailed: ${bad.join(', ')}`);
process.exitCode = sum('failed') > 0 ? 1 : 0;
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
