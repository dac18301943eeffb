/**
 * The operator held against the real cloud-init: each document of e2e/corpus/cloud-config on two fresh hosts, one of them by Debian's
 * cloud-init, the other by the operator's planner and runner over SSH (without API objects, for the mass of them); then everything that
 * the two hosts have is compared. A few documents go through the whole operator.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cloudInitImage } from '../env/cloud-init.ts';
import { createHost } from '../env/hosts.ts';
import { compare, type Comparison, type Pair } from '../fixtures/cloud-init/compare.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CORPUS = join(import.meta.dirname, '../corpus/cloud-config');
const environment = sharedEnvironment('cloud-init');
const lanes: Pair[] = [];

beforeAll(async () => {
  const { state } = environment();
  if (state.hosting === undefined) throw new Error('the environment has no hosts');
  const hosting = { ...state.hosting, image: await cloudInitImage(() => undefined) };
  const options = { hostname: 'oracle', machineID: '0123456789abcdef0123456789abcdef' };
  const host = () => createHost(state.run, hosting, options);
  for (let lane = 0; lane < 2; lane++) lanes.push({ cloudInit: await host(), operator: await host() });
});
afterAll(async () => {
  await Promise.all(lanes.flatMap(({ cloudInit, operator }) => [cloudInit.destroy(), operator.destroy()]));
});

test('the corpus', async () => {
  const names = readdirSync(CORPUS).filter((name) => name.includes(process.env['DOCUMENT'] ?? ''));
  const results = new Map<string, Comparison>();
  const todo = [...names];
  const work = async (pair: Pair) => {
    for (let name = todo.shift(); name !== undefined; name = todo.shift()) {
      results.set(name, await compare(pair, readFileSync(join(CORPUS, name), 'utf8')));
    }
  };
  await Promise.all(lanes.map(work));
  for (const [name, { unexpected, cloudInit, operator }] of results) {
    if (unexpected.length > 0)
      process.stdout.write(`== ${name}\n${unexpected.join('\n')}\n-- cloud-init: ${cloudInit.said}\n-- operator: ${operator.said}\n`);
  }
  expect([...results].filter(([, { unexpected }]) => unexpected.length > 0).map(([name]) => name)).toEqual([]);
});
