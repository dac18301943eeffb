/**
 * The operator held against the real cloud-init: each document of e2e/corpus/cloud-config and multi-part, and a few made at random, on two fresh hosts,
 * one of them by Debian's cloud-init, the other by the operator's planner and runner over SSH, without API objects for the mass of them;
 * then everything that the two hosts have is compared. Two documents go through the whole operator.
 *
 * DOCUMENT=users compares the documents of that name, GENERATED=500 as many at random, SEED=1 those of an earlier run.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { cloudInitImage } from '../env/cloud-init.ts';
import { createHost, type Host } from '../env/hosts.ts';
import { type Applied, applyByOperator } from '../fixtures/cloud-init/apply.ts';
import { compare, type Pair } from '../fixtures/cloud-init/compare.ts';
import { DIFFERENCES } from '../fixtures/cloud-init/differences.ts';
import { randomDocuments } from '../fixtures/cloud-init/documents.ts';
import { mergedByCloudInit, mergedByOperator, randomMerges } from '../fixtures/cloud-init/merging.ts';
import { Objects } from '../fixtures/objects.ts';
import { Reports } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CORPUS = join(import.meta.dirname, '../corpus');
const { DOCUMENT = '', GENERATED = '4', SEED = String(Date.now() % 1_000_000) } = process.env;
/** Pairs of hosts side by side. */
const LANES = 2;
/** Documents for the whole operator, one a lane: a machine keeps its host. */
const WHOLE = ['rke2-server.yaml', 'kubeadm-join.yaml'];
const environment = sharedEnvironment('cloud-init');
const lanes: Pair[] = [];
let objects: Objects;
let reports: Reports;

const corpus = new Map(
  ['cloud-config', 'multi-part']
    .flatMap((folder) => readdirSync(join(CORPUS, folder)).map((name): [string, string] => [name, join(CORPUS, folder, name)]))
    .filter(([name]) => name.includes(DOCUMENT))
    .map(([name, file]) => [name, readFileSync(file, 'utf8')]),
);
/** For the log of the run; Jest would add where it was called. */
const print = (line: string): void => void process.stdout.write(`${line}\n`);

jest.setTimeout(3_600_000);

beforeAll(async () => {
  const { state, client, namespace, startOperator } = environment();
  const { hosting } = state;
  if (hosting === undefined) throw new Error('the environment has no hosts');
  const image = await cloudInitImage(({ what, seconds }) => seconds === undefined || print(`${what}: ${seconds.toFixed(0)} s`));
  const options = { hostname: 'oracle', machineID: '0123456789abcdef0123456789abcdef' };
  const host = (): Promise<Host> => createHost(state.run, { ...hosting, image }, options);
  const pair = async (): Promise<Pair> => {
    const [cloudInit, operator] = await Promise.all([host(), host()]);
    return { cloudInit, operator };
  };
  lanes.push(...(await Promise.all(Array.from({ length: LANES }, pair))));
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  await startOperator({ namespace });
  await client.applyAll(objects.cluster('main'));
});
afterAll(async () => {
  await Promise.all(lanes.flatMap(({ cloudInit, operator }) => [cloudInit.destroy(), operator.destroy()]));
});

/** Compares all, side by side; fails with every path that differs and may not, and prints what both have said. */
async function compareAll(
  documents: Map<string, string>,
  apply?: (host: Host, document: string, name: string) => Promise<Applied>,
): Promise<void> {
  const left = [...documents];
  const wrong: string[] = [];
  const occurred = new Map<string, number>();
  await Promise.all(
    lanes.map(async (pair) => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const [name, document] = next;
        const { unexpected, known, cloudInit, operator } = await compare(pair, document, (host) =>
          apply === undefined ? applyByOperator(host, document) : apply(host, document, name),
        );
        for (const { title } of known) occurred.set(title, (occurred.get(title) ?? 0) + 1);
        // Two hosts on which nothing happened are the same.
        if (operator.succeeded === document.includes('\n# fails\n'))
          unexpected.push("the run on the operator's host ended otherwise than it should");
        if (unexpected.length === 0) continue;
        wrong.push(name);
        print(
          `== ${name}\n${document}\n== differs\n${unexpected.join('\n')}\n== cloud-init\n${cloudInit.said}\n== operator\n${operator.said}`,
        );
      }
    }),
  );
  const listed = [...occurred].map(([title, times]) => `${title} (${times})`).join('; ');
  print(`${documents.size} documents compared, ${wrong.length} with a difference that is not listed; listed ones: ${listed || 'none'}`);
  expect(wrong).toEqual([]);
}

test('the documents of the corpus', () => compareAll(corpus));

test('documents made at random', async () => {
  const documents = randomDocuments(Number(GENERATED), Number(SEED));
  print(`SEED=${SEED} GENERATED=${GENERATED} makes these documents again`);
  await compareAll(new Map(documents.map((document, index) => [`document ${index} of seed ${SEED}`, document])));
});

test('documents are merged as cloud-init’s own handler merges them', async () => {
  const [{ cloudInit: host }] = lanes as [Pair];
  const merges = randomMerges(1000, Number(SEED));
  const theirs = await mergedByCloudInit(host, merges);
  const wrong = merges.flatMap((documents, index) => {
    const ours = mergedByOperator(documents);
    // What makes no sense is refused here: cloud-init extends a list by the keys of a map.
    return ours === null || isDeepStrictEqual(ours, theirs[index]) ? [] : [{ documents, ours, theirs: theirs[index] }];
  });
  expect(wrong.slice(0, 3)).toEqual([]);
  const both = merges.filter((documents, index) => mergedByOperator(documents) !== null && theirs[index] !== null);
  expect(both.length).toBeGreaterThan(merges.length / 2);
});

test('documents by the whole operator, from a Machine and its bootstrap Secret', async () => {
  const { client } = environment();
  const documents = new Map([...corpus].filter(([name]) => WHOLE.includes(name)));
  await compareAll(documents, async (host, document, file) => {
    const name = file.replace('.yaml', '');
    await client.applyAll(objects.explicit(name, 'main', host, document));
    await reports.ready(name);
    return { succeeded: true, said: 'the machine is ready', findings: [] };
  });
});

test('the page tells of every difference that may be, and of no other', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/cloud-config-differences.md'), 'utf8');
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  expect(headings).toEqual([...DIFFERENCES.map(({ title }) => title), 'Not compared']);
});
