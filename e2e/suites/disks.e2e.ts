/**
 * Disks: what the operator does to them held against the real cloud-init and Ignition, on hosts with loop devices of this machine. Each
 * document of e2e/corpus/disks is applied twice to two fresh hosts, one of them by the tool; then tables, file systems, mounts, swap and
 * all files are compared, and whether each run wrote to each disk. What is in use is never written to.
 *
 * These are a few of the documents; `make disks` compares all of them, DOCUMENT=tables those of that name. The kernels of machines that
 * run tests may have no driver for arrays, which are held against Ignition's commands by unit tests.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { versionOf } from '../env/binaries.ts';
import { cloudInitImage } from '../env/cloud-init.ts';
import { must } from '../env/command.ts';
import { createHost, type HostingState } from '../env/hosts.ts';
import { ignitionImage } from '../env/ignition.ts';
import { applyByCloudInit, applyModules } from '../fixtures/cloud-init/apply.ts';
import { DIFFERENCES } from '../fixtures/cloud-init/differences.ts';
import { DISK_DIFFERENCES } from '../fixtures/disks/differences.ts';
import { Disks } from '../fixtures/disks/disks.ts';
import { applyDisks, applyDisksAgain, ITS_OWN } from '../fixtures/disks/ignition.ts';
import { again, type Tool, Twice } from '../fixtures/disks/oracle.ts';
import { INTRUDERS, USED } from '../fixtures/disks/used.ts';
import { mustExec } from '../fixtures/hosts.ts';
import { DIFFERENCES as IGNITION_DIFFERENCES } from '../fixtures/ignition/differences.ts';
import { Lanes, printed } from '../fixtures/oracle/lanes.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CORPUS = join(import.meta.dirname, '../corpus');
const OF_KUBEADM = `kubeadm-${versionOf('cluster-api')}`;
const { DOCUMENT } = process.env;
/** One of each kind: all of them take many minutes. */
const FEW = /\/(?:tables-kept|systems-replaced|mounts|swap-quarter|ign-tables-kept|ign-systems-kept)\./;
const environment = sharedEnvironment('disks');
let disks: Disks;
let twice: Twice;

// All documents, on a slow machine.
jest.setTimeout(3_600_000);

const corpus = (folder: string, extension: string): [string, string][] =>
  readdirSync(join(CORPUS, folder))
    .filter((name) => name.endsWith(extension))
    .map((name) => join(folder, name))
    .filter((path) => (DOCUMENT === undefined ? FEW.test(path) : path.includes(DOCUMENT)))
    .map((path) => [path, readFileSync(join(CORPUS, path), 'utf8')]);
const fails = (name: string): boolean => name.includes('/fails-');

beforeAll(() => {
  disks = new Disks(environment().state.run);
  twice = new Twice(disks);
});
afterAll(() => disks.removeAll());

const lanesOf = async (tool: Tool, image: string): Promise<Lanes> => {
  const { state } = environment();
  return Lanes.start(twice.oracle(tool), state.run, hostingWith(image), 2);
};
const hostingWith = (image: string): HostingState => {
  const { hosting } = environment().state;
  if (hosting === undefined) throw new Error('the environment has no hosts');
  return { ...hosting, image };
};

async function compareAll(tool: Tool, image: string, documents: [string, string][]): Promise<void> {
  const lanes = await lanesOf(tool, image);
  try {
    await lanes.compareAll(new Map(documents), fails, (host, document) => twice.byOperator(host, document));
  } finally {
    await lanes.destroy();
  }
}

test('by cloud-init', async () => {
  const tool: Tool = {
    name: 'cloud-init',
    differences: [...DISK_DIFFERENCES, ...DIFFERENCES],
    // Whatever fails, it goes on, and has nothing against a second time.
    apply: async (host, document) => ({ ...(await applyByCloudInit(host, document)), succeeded: true }),
    again: (host) => applyModules(host, 'cc_disk_setup', 'cc_mounts'),
  };
  const folders = ['disks/cloud-config', 'documented/disks', OF_KUBEADM];
  await compareAll(
    tool,
    await cloudInitImage(printed),
    folders.flatMap((folder) => corpus(folder, '.yaml')),
  );
});

test('by Ignition', async () => {
  const tool: Tool = {
    name: 'Ignition',
    differences: IGNITION_DIFFERENCES,
    apply: applyDisks,
    again: applyDisksAgain,
    ignored: ITS_OWN,
  };
  const ofKubeadm = corpus(OF_KUBEADM, '.ign').map(([name, document]): [string, string] => [name, withoutUnits(document)]);
  await compareAll(tool, await ignitionImage(printed), [...corpus('disks/ignition', '.ign'), ...ofKubeadm]);
});

/** These hosts have no systemd to start them. */
const withoutUnits = (document: string): string => JSON.stringify({ ...(JSON.parse(document) as object), systemd: {} });

test('what is in use is never written to', async () => {
  const host = await createHost(environment().state.run, hostingWith(await cloudInitImage(printed)));
  try {
    await disks.renew(host);
    await mustExec(host, USED);
    const [sums, state] = [await disks.sums(host), await disks.state(host)];
    // The kernel writes to what it swaps to, between the table and its header.
    sums.delete('vdd');
    const wrong: string[] = [];
    for (const [name, text] of Object.entries(INTRUDERS)) {
      const { succeeded, said } = await again(host, text.startsWith('{') ? text : `#cloud-config\n${text}\n`);
      if (succeeded || !said.includes(' in use')) wrong.push(`${name}: ${said}`);
      const now = await disks.sums(host);
      for (const [disk, sum] of sums) if (now.get(disk) !== sum) wrong.push(`${name} has written to ${disk}`);
    }
    expect(await disks.state(host)).toEqual(state);
    expect(wrong).toEqual([]);
  } finally {
    await host.destroy();
  }
});

/** One that is swapped to could not go. */
test('no disk of a host is left behind', async () => {
  disks.removeAll();
  const { folder } = environment().state.run;
  const left = async (): Promise<string[]> =>
    (await must('losetup', ['--noheadings', '--list', '--output', 'BACK-FILE']))
      .split('\n')
      .filter((file) => file.trim().startsWith(folder));
  // The last mounts of a host that was switched off take the kernel a moment.
  for (let tried = 0; tried < 50 && (await left()).length > 0; tried++) await sleep(100);
  expect(await left()).toEqual([]);
});
