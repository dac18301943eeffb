/**
 * The operator held against the real cloud-init: each cloud-config and multi-part document of e2e/corpus, and a few made at random, on two fresh hosts,
 * one of them by Debian's cloud-init, the other by the operator's planner and runner over SSH, without API objects for the mass of them;
 * then everything that the two hosts have is compared. Two documents go through the whole operator.
 *
 * DOCUMENT=users compares the documents of that name, GENERATED=500 as many at random, SEED=1 those of an earlier run.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { versionOf } from '../env/binaries.ts';
import { cloudInitImage } from '../env/cloud-init.ts';
import { gateway } from '../env/network.ts';
import { applyByCloudInit } from '../fixtures/cloud-init/apply.ts';
import { DIFFERENCES } from '../fixtures/cloud-init/differences.ts';
import { randomDocuments } from '../fixtures/cloud-init/documents.ts';
import { DISK_DIFFERENCES } from '../fixtures/disks/differences.ts';
import { KeyServer } from '../fixtures/cloud-init/key-server.ts';
import { comparedNames, givenOf, instanceDataOf, queriedKeys } from '../fixtures/cloud-init/instance-data.ts';
import { mergedByCloudInit, mergedByOperator, randomMerges } from '../fixtures/cloud-init/merging.ts';
import { renderedByCloudInit, renderedByOperator } from '../fixtures/cloud-init/rendering.ts';
import { Objects } from '../fixtures/objects.ts';
import { Lanes, print, printed } from '../fixtures/oracle/lanes.ts';
import { INSTANCE as INSTANCE_ID, whatSays } from '../fixtures/oracle/operator.ts';
import { Reports } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';
import { variablesOf } from '../../operator/bootstrap/template/instance.ts';
import { instanceData } from '../../operator/controllers/remotemachine/bootstrap-data.ts';
import { randomTemplates } from '../../operator/bootstrap/template/testing/random.ts';
import { INSTANCE, RENDERED } from '../../operator/bootstrap/template/testing/table.ts';

const CORPUS = join(import.meta.dirname, '../corpus');
const { DOCUMENT = '', GENERATED = '4' } = process.env;
/** Always the same few documents, so that a failure is not one that comes and goes; others where more of them are asked for. */
const { SEED = process.env['GENERATED'] === undefined ? '1' : String(Date.now() % 1_000_000) } = process.env;
/** Pairs of hosts side by side. */
const LANES = 2;
/** Documents for the whole operator, one a lane: a machine keeps its host. */
const WHOLE = ['cloud-config/rke2-server.yaml', 'cloud-config/kubeadm-join.yaml'];
const environment = sharedEnvironment('cloud-init');
const cloudInit = { name: 'cloud-init', apply: applyByCloudInit, differences: DIFFERENCES };
const keyServer = new KeyServer();
let lanes: Lanes;
let objects: Objects;
let reports: Reports;

const corpus = new Map(
  ['cloud-config', 'documented', 'multi-part', `kubeadm-${versionOf('cluster-api')}/cloud-config`]
    .flatMap((folder) => readdirSync(join(CORPUS, folder), { withFileTypes: true }).map((entry) => ({ entry, folder })))
    // A folder within has documents for another suite, on hosts that have disks.
    .flatMap(({ entry, folder }) => (entry.isFile() ? [join(folder, entry.name)] : []))
    .filter((name) => name.includes(DOCUMENT))
    .map((name) => [name, readFileSync(join(CORPUS, name), 'utf8')]),
);
const fails = (_: string, document: string): boolean => document.includes('\n# fails\n');

jest.setTimeout(3_600_000);

beforeAll(async () => {
  const { state, client, namespace, startOperator } = environment();
  const { hosting } = state;
  if (hosting === undefined) throw new Error('the environment has no hosts');
  const image = await cloudInitImage(printed);
  lanes = await Lanes.start(cloudInit, state.run, { ...hosting, image }, LANES);
  await keyServer.listen(gateway(hosting.network.prefix));
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  await startOperator({ namespace });
  await client.applyAll(objects.cluster('main'));
});
afterAll(async () => {
  await Promise.all([lanes.destroy(), keyServer.close()]);
});

test('the documents of the corpus', () =>
  lanes.compareAll(new Map([...corpus].map(([name, document]) => [name, keyServer.named(document)])), fails));

test('documents made at random', async () => {
  const documents = randomDocuments(Number(GENERATED), Number(SEED));
  print(`SEED=${SEED} GENERATED=${GENERATED} makes these documents again`);
  await lanes.compareAll(new Map(documents.map((document, index) => [`document ${index} of seed ${SEED}`, document])), fails);
});

test('documents are merged as cloud-init’s own handler merges them', async () => {
  const host = lanes.reference;
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

test('templates are rendered as cloud-init’s own templater renders them', async () => {
  const templates = [...RENDERED.map(([template]) => template), ...randomTemplates(1000, Number(SEED))];
  const theirs = await renderedByCloudInit(lanes.reference, templates, givenOf(variablesOf(INSTANCE)));
  const expected = theirs.slice(0, RENDERED.length).map((text, index) => [templates[index], text]);
  expect(expected).toEqual(RENDERED);
  const rendered = templates.map((template, index) => ({ template, ours: renderedByOperator(template), theirs: theirs[index] }));
  // What is not carried out is refused; cloud-init would render some of it.
  const accepted = rendered.filter(({ ours }) => ours !== null);
  expect(accepted.filter(({ ours, theirs }) => ours !== theirs).slice(0, 3)).toEqual([]);
  expect(accepted.length).toBeGreaterThan(0.9 * rendered.filter(({ theirs }) => theirs !== null).length);
});

test('templates find the names of cloud-init’s own instance data, or are refused', async () => {
  const host = lanes.reference;
  await host.reimage();
  await applyByCloudInit(host, '#cloud-config\nruncmd: [date]\n');
  const instance = { runID: INSTANCE_ID, name: host.name, failureDomain: undefined };
  const ours = variablesOf(instanceData(instance, await whatSays(host)));
  const { lacking, differing, more, withheld } = comparedNames(await instanceDataOf(host), ours);
  print(`names that are refused here: ${withheld.join(', ')}; that are not cloud-init’s: ${more.join(', ')}`);
  expect(lacking).toEqual([]);
  expect(new Set(differing.map((name) => name.replace('v1.', '')))).toEqual(
    new Set(['cloud_id', 'cloud-name', 'cloud_name', 'platform', 'subplatform']),
  );
  expect((await queriedKeys(host)).filter((name) => !Object.hasOwn(ours, name))).toEqual([]);
  const page = readFileSync(join(import.meta.dirname, '../../docs/cloud-config-differences.md'), 'utf8');
  const told = [...withheld, ...more, ...differing].map((name) => name.split('.').at(-1) ?? '').filter((name) => !name.includes('-'));
  expect(told.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

test('documents by the whole operator, from a Machine and its bootstrap Secret', async () => {
  const { client } = environment();
  const documents = new Map([...corpus].filter(([name]) => WHOLE.includes(name)));
  await lanes.compareAll(documents, fails, async (host, document, file) => {
    const name = basename(file, '.yaml');
    await client.applyAll(objects.explicit(name, 'main', host, document));
    await reports.ready(name);
    return { succeeded: true, said: 'the machine is ready', findings: [] };
  });
});

test('the page tells of every difference that may be, and of no other', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/cloud-config-differences.md'), 'utf8');
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  expect(headings).toEqual([...new Set([...DIFFERENCES, ...DISK_DIFFERENCES].map(({ title }) => title)), 'Not compared']);
});
