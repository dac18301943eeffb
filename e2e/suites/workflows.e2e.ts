/** The workflows of GitHub, as far as they can be judged without it. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { findPrograms, otherClusterAPIs } from '../env/binaries.ts';
import { must, run } from '../env/command.ts';

const checkout = join(import.meta.dirname, '../..');
const workflow = (name: string): string => join(checkout, '.github/workflows', `${name}.yaml`);

interface Workflow {
  jobs: Record<string, Job>;
}
interface Job {
  needs?: string;
  uses?: string;
  env?: Record<string, string>;
  strategy?: { matrix: Record<string, string[]> };
  steps?: { run?: string; uses?: string; with?: Record<string, string> }[];
}
const read = async (name: string): Promise<Workflow> => parse(await readFile(workflow(name), 'utf8')) as Workflow;

test('actionlint has nothing to say', async () => {
  const { actionlint } = await findPrograms(['actionlint'], () => undefined);
  expect(await must(actionlint, ['-no-color', workflow('test'), workflow('release')])).toBe('');
  const broken = (await readFile(workflow('release'), 'utf8')).replace('steps.image.outputs', 'steps.picture.outputs');
  const { exitCode, stdout } = await run(actionlint, ['-no-color', '-'], { input: broken });
  expect(exitCode).toBe(1);
  expect(stdout).toContain('property "picture" is not defined');
});

test('nothing is pushed before all checks and tests have passed', async () => {
  const { jobs } = await read('release');
  const pushing = Object.entries(jobs).filter(([, { steps = [] }]) => steps.length > 0);
  expect(pushing.map(([, { needs }]) => needs)).toEqual(['test']);
  expect(jobs['test']?.uses).toBe('./.github/workflows/test.yaml');
});

test('what is run there is what a person runs', async () => {
  const makefile = await readFile(join(checkout, 'Makefile'), 'utf8');
  const jobs = [...Object.values((await read('test')).jobs), ...Object.values((await read('release')).jobs)];
  const lines = jobs.flatMap(({ steps = [] }) => steps.flatMap((step) => step.run?.split('\n') ?? []));
  const targets = lines.flatMap((line) => /^make (\S+)/.exec(line)?.[1] ?? []);
  expect([...new Set(targets)].sort()).toEqual(['chaos', 'e2e', 'image', 'lint', 'release', 'unit']);
  for (const target of targets) expect(makefile).toMatch(new RegExp(`^${target}: `, 'm'));
});

test('every Cluster API that can be built is run with', async () => {
  const { strategy, env } = (await read('test')).jobs['e2e'] ?? {};
  expect(strategy?.matrix['cluster-api']).toEqual(['default', ...otherClusterAPIs()]);
  const suites = [...(env?.['SUITES'] ?? '').matchAll(/suites\/[\w.-]+/g)].map(([name]) => name);
  expect(suites.length).toBeGreaterThan(5);
  const all = (await readdir(import.meta.dirname)).map((name) => `suites/${name}`);
  expect(suites.filter((name) => all.filter((path) => path.startsWith(name)).length !== 1)).toEqual([]);
});

test('what is built once is kept in the workspace, where containers and the machine find it at the same path', async () => {
  for (const name of ['test', 'release']) {
    const steps = Object.values((await read(name)).jobs).flatMap((job) => job.steps ?? []);
    const paths = steps.filter(({ uses }) => uses?.startsWith('actions/cache/')).map((step) => step.with?.['path']);
    // The same to a letter: what is kept under other paths is not found again. File systems of hosts are root's, with device nodes.
    const kept = '.cache/cluster-api-provider-remote/*\n!.cache/cluster-api-provider-remote/*-image-*\n';
    expect(new Set(paths)).toEqual(new Set([kept]));
    expect(steps.map(({ run: script }) => script)).toContain('echo "XDG_CACHE_HOME=$GITHUB_WORKSPACE/.cache" >>"$GITHUB_ENV"');
  }
});
