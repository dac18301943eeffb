/**
 * Disks: what the operator does to them held against the real cloud-init and Ignition, on hosts with loop devices of this machine. Each
 * document of e2e/corpus/disks is applied twice to two fresh hosts, one of them by the tool; then tables, file systems, mounts, swap and
 * all files are compared, and whether each run wrote to each disk. What is in use is never written to.
 *
 * DOCUMENT=tables compares the documents of that name. The kernels of machines that run tests may have no driver for arrays, which are
 * held against Ignition's commands by unit tests.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { versionOf } from '../env/binaries.ts';
import { cloudInitImage } from '../env/cloud-init.ts';
import type { Host } from '../env/hosts.ts';
import { applyByCloudInit, applyModules } from '../fixtures/cloud-init/apply.ts';
import { DIFFERENCES } from '../fixtures/cloud-init/differences.ts';
import { DISK_DIFFERENCES } from '../fixtures/disks/differences.ts';
import { Disks } from '../fixtures/disks/disks.ts';
import { Twice } from '../fixtures/disks/oracle.ts';
import { Lanes, print } from '../fixtures/oracle/lanes.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CORPUS = join(import.meta.dirname, '../corpus');
const { DOCUMENT = '' } = process.env;
const environment = sharedEnvironment('disks');
let disks: Disks;
let twice: Twice;

jest.setTimeout(3_600_000);

const corpus = (folder: string, extension: string): [string, string][] =>
  readdirSync(join(CORPUS, folder))
    .filter((name) => name.endsWith(extension) && name.includes(DOCUMENT))
    .map((name) => [join(folder, name), readFileSync(join(CORPUS, folder, name), 'utf8')]);
const fails = (name: string): boolean => name.includes('/fails-');

const told = ({ what, seconds }: { what: string; seconds?: number }): void =>
  seconds === undefined ? undefined : print(`${what}: ${seconds.toFixed(0)} s`);

beforeAll(() => {
  disks = new Disks(environment().state.run);
  twice = new Twice(disks);
});
afterAll(() => disks.removeAll());

test('by cloud-init', async () => {
  const { state } = environment();
  if (state.hosting === undefined) throw new Error('the environment has no hosts');
  const tool = {
    name: 'cloud-init',
    differences: [...DISK_DIFFERENCES, ...DIFFERENCES],
    apply: applyByCloudInit,
    again: (host: Host) => applyModules(host, 'cc_disk_setup', 'cc_mounts'),
  };
  const lanes = await Lanes.start(twice.oracle(tool), state.run, { ...state.hosting, image: await cloudInitImage(told) }, 2);
  try {
    const ofKubeadm = `kubeadm-${versionOf('cluster-api')}`;
    const documents = ['disks/cloud-config', 'documented/disks', ofKubeadm].flatMap((folder) => corpus(folder, '.yaml'));
    await lanes.compareAll(new Map(documents), fails, (host, document) => twice.byOperator(host, document));
  } finally {
    await lanes.destroy();
  }
});
