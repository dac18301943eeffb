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
import { must } from '../env/command.ts';
import { createHost, type HostingState } from '../env/hosts.ts';
import { ignitionImage } from '../env/ignition.ts';
import { applyByCloudInit, applyModules } from '../fixtures/cloud-init/apply.ts';
import { DIFFERENCES } from '../fixtures/cloud-init/differences.ts';
import { DISK_DIFFERENCES } from '../fixtures/disks/differences.ts';
import { Disks, mustExec } from '../fixtures/disks/disks.ts';
import { applyDisks, applyDisksAgain, ITS_OWN } from '../fixtures/disks/ignition.ts';
import { again, type Tool, Twice } from '../fixtures/disks/oracle.ts';
import { DIFFERENCES as IGNITION_DIFFERENCES } from '../fixtures/ignition/differences.ts';
import { Lanes, print } from '../fixtures/oracle/lanes.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CORPUS = join(import.meta.dirname, '../corpus');
const OF_KUBEADM = `kubeadm-${versionOf('cluster-api')}`;
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
    apply: applyByCloudInit,
    again: (host) => applyModules(host, 'cc_disk_setup', 'cc_mounts'),
  };
  const folders = ['disks/cloud-config', 'documented/disks', OF_KUBEADM];
  await compareAll(
    tool,
    await cloudInitImage(told),
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
  await compareAll(tool, await ignitionImage(told), [...corpus('disks/ignition', '.ign'), ...ofKubeadm]);
});

/** These hosts have no systemd to start them. */
const withoutUnits = (document: string): string => JSON.stringify({ ...(JSON.parse(document) as object), systemd: {} });

/** Read only, as whoever writes to a file system writes to its disk. */
const USED = `set -e
sgdisk --new=1:0:+64M --new=2:0:0 /dev/vdb
sgdisk --new=1:0:+32M --new=2:0:0 /dev/vdd
udevadm settle
mkfs.ext4 -q /dev/vdb1
mkfs.ext4 -q /dev/vdc
mkswap /dev/vdd2
mkdir /opt/vdb1 /opt/vdc
mount -o ro,noload /dev/vdb1 /opt/vdb1
mount -o ro,noload /dev/vdc /opt/vdc
swapon /dev/vdd2
udevadm settle
`;

const ignition = (storage: object): string => JSON.stringify({ ignition: { version: '3.3.0' }, storage });
const INTRUDERS: Record<string, string> = {
  'another table': 'disk_setup: {/dev/vdb: {table_type: gpt, layout: [30, 30, 40], overwrite: true}}',
  'another kind of table': 'disk_setup: {/dev/vdb: {table_type: mbr, layout: [100], overwrite: true}}',
  'no table': 'disk_setup: {/dev/vdb: {layout: remove}}',
  'a table in the place of a file system': 'disk_setup: {/dev/vdc: {table_type: gpt, layout: true, overwrite: true}}',
  'another table beside swap': 'disk_setup: {/dev/vdd: {table_type: gpt, layout: [100], overwrite: true}}',
  'another file system': 'fs_setup: [{device: /dev/vdb.1, filesystem: ext4, label: new, overwrite: true}]',
  'a file system in the place of a table': 'fs_setup: [{device: /dev/vdb, partition: none, filesystem: ext4, overwrite: true}]',
  'another file system on the whole disk': 'fs_setup: [{device: /dev/vdc, partition: none, filesystem: btrfs, overwrite: true}]',
  'a file system in the place of swap': 'fs_setup: [{device: /dev/vdd.2, filesystem: ext4, overwrite: true}]',
  'a command of its own': 'fs_setup: [{device: /dev/vdb.1, filesystem: ext4, overwrite: true, cmd: "mkfs.ext4 -FF %(device)s"}]',
  'a wiped table': ignition({ disks: [{ device: '/dev/vdb', wipeTable: true }] }),
  'a wiped table beside swap': ignition({ disks: [{ device: '/dev/vdd', wipeTable: true, partitions: [{ number: 1 }] }] }),
  'a wiped entry': ignition({ disks: [{ device: '/dev/vdb', partitions: [{ number: 1, sizeMiB: 8, wipePartitionEntry: true }] }] }),
  'an entry in the place of a file system': ignition({ disks: [{ device: '/dev/vdc', partitions: [{ number: 1, sizeMiB: 8 }] }] }),
  'no entry': ignition({ disks: [{ device: '/dev/vdd', partitions: [{ number: 2, shouldExist: false, wipePartitionEntry: true }] }] }),
  'a wiped file system': ignition({ filesystems: [{ device: '/dev/vdb1', format: 'ext4', label: 'new', wipeFilesystem: true }] }),
  'a wiped disk': ignition({ filesystems: [{ device: '/dev/vdb', format: 'ext4', wipeFilesystem: true }] }),
  'wiped swap': ignition({ filesystems: [{ device: '/dev/vdd2', format: 'none', wipeFilesystem: true }] }),
};

test('what is in use is never written to', async () => {
  const host = await createHost(environment().state.run, hostingWith(await cloudInitImage(told)));
  try {
    await disks.renew(host);
    await mustExec(host, USED);
    const before = await disks.sums(host);
    const wrong: string[] = [];
    for (const [name, text] of Object.entries(INTRUDERS)) {
      const { succeeded, said } = await again(host, text.startsWith('{') ? text : `#cloud-config\n${text}\n`);
      if (succeeded || !said.includes(' in use')) wrong.push(`${name}: ${said}`);
      for (const [disk, sum] of await disks.sums(host)) if (before.get(disk) !== sum) wrong.push(`${name} has written to ${disk}`);
    }
    expect(wrong).toEqual([]);
  } finally {
    await host.destroy();
  }
});

/** A disk that is swapped to could not go. */
test('no disk of a host is left behind', async () => {
  disks.removeAll();
  const { folder } = environment().state.run;
  expect(
    (await must('losetup', ['--noheadings', '--list', '--output', 'BACK-FILE']))
      .split('\n')
      .filter((file) => file.trim().startsWith(folder)),
  ).toEqual([]);
});
