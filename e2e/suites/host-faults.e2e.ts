/** What befalls hosts and the way to them, each at a moment of its own choosing: what a person sees of it, and that nothing runs twice. */
import type { AnyObject } from '../env/client.ts';
import type { Host, HostOptions } from '../env/hosts.ts';
import { gateway } from '../env/network.ts';
import { Relay } from '../env/relay.ts';
import { lastsUntil, waitForFile } from '../fixtures/hosts.ts';
import { Objects } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, historic, historyOf, isCleaned, isFree } from '../fixtures/pool.ts';
import { Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const RUN = '/var/tmp/e2e-run';
const CLEANUP = '/var/tmp/e2e-cleanup';
const STATE = '/var/lib/cluster-api-provider-remote';
const environment = sharedEnvironment('host-faults');
const relays: Relay[] = [];
let objects: Objects;
let reports: Reports;

const machine = (name: string) => objects.ref('RemoteMachine', name);
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);

/** A pool of one host that the operator reaches by a relay, which lets everything through until it is told otherwise. */
async function place(name: string, spec: object = {}, options: HostOptions = {}): Promise<{ host: Host; relay: Relay }> {
  const { client, createHost, state } = environment();
  const host = await createHost(options);
  const address = gateway(state.hosting?.network.prefix ?? '');
  const relay = await Relay.start(host, address);
  relays.push(relay);
  await client.apply(objects.entry(name, name, host, { cleanUpCommands, address, port: relay.port, ...spec }));
  return { host, relay };
}

/** A machine on the host of its name. */
const ask = (name: string, commands: string[] = [lastsUntil(RUN)]): Promise<AnyObject[]> =>
  environment().client.applyAll([
    objects.bootstrapData(name, historic(commands)),
    objects.remoteMachine(name, { pool: name }),
    objects.machine(name, 'main'),
  ]);

/** Its run is under way. */
async function running(name: string, spec: object = {}): Promise<{ host: Host; relay: Relay }> {
  const made = await place(name, spec);
  await ask(name);
  await environment().client.waitFor(
    machine(name),
    (object) => conditionOf(object, 'BootstrapExecSucceeded')?.reason === 'BootstrapRunning',
  );
  await waitForFile(made.host, `${RUN}.began`);
  return made;
}

const letGo = (host: Host, path: string) => host.exec(`touch ${path}`);

async function readyAfterOneRun(name: string, host: Host): Promise<void> {
  await reports.ready(name);
  expect(await historyOf(host)).toEqual([expect.stringMatching(`^run ${name}-`)]);
}

/** The machine is deleted, gone, and its host went through one run and one cleanup and has nothing left. */
async function goneAfterOneCleanup(name: string, host: Host): Promise<void> {
  const { client } = environment();
  await client.delete(objects.clusterRef('Machine', name));
  await client.waitForGone(machine(name));
  await client.waitFor<Entry>(entry(name), isFree);
  expect(await historyOf(host)).toEqual([expect.stringMatching(`^run ${name}-`), 'clean']);
  expect(await isCleaned(host)).toBe(true);
}

beforeAll(async () => {
  const { client, namespace, createHost } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  await environment().startOperator({ namespace, args: ['-v', '2'] });
  await client.applyAll([objects.sshKey('pool-key', await createHost()), ...objects.cluster('main')]);
});
afterAll(() => {
  for (const relay of relays) relay.close();
});

/** Bytes from the operator after which the connection is cut: in the handshake, the claim, and the upload of the run. */
const CUTS = [1_000, 4_000, 20_000, 40_000, 55_000];

sideBySide({
  'a host that is rebooted in the middle of its run: the run is not begun again, and the next machine gets a clean host': async () => {
    const { host } = await running('rebooted');
    await host.reboot();
    const says = ['rebooted during runcmd[1]'];
    await reports.expect('rebooted', {
      type: 'BootstrapExecSucceeded',
      status: 'False',
      reason: 'HostRebooted',
      says,
      ready: 'False',
    });
    expect(await historyOf(host)).toHaveLength(1);
    await goneAfterOneCleanup('rebooted', host);
  },

  ...Object.fromEntries(
    CUTS.map((bytes) => [
      `a connection that is cut after ${bytes} bytes is made again, and the run begins once`,
      async () => {
        const name = `cut-${bytes}`;
        const { host, relay } = await place(name);
        relay.bytesLeft = bytes;
        await ask(name, []);
        await readyAfterOneRun(name, host);
        expect(relay.bytesLeft).toBe(Infinity);
        await goneAfterOneCleanup(name, host);
      },
    ]),
  ),

  'connections that are cut while the run is followed are made again, and it is followed to its end': async () => {
    const { host, relay } = await running('followed');
    relay.cut();
    await letGo(host, RUN);
    await readyAfterOneRun('followed', host);
  },

  'a connection that is cut in the middle of a cleanup: it is followed to its end, and not done again': async () => {
    const { host, relay } = await running('cleaned', { cleanUpCommands: [...cleanUpCommands, lastsUntil(CLEANUP)] });
    await letGo(host, RUN);
    await readyAfterOneRun('cleaned', host);
    await environment().client.delete(objects.clusterRef('Machine', 'cleaned'));
    await waitForFile(host, `${CLEANUP}.began`);
    relay.cut();
    await letGo(host, CLEANUP);
    await goneAfterOneCleanup('cleaned', host);
  },

  '300 ms of latency and a tenth of all packets lost: one run, and one cleanup': async () => {
    const { host, relay } = await place('slow');
    relay.delay = 300;
    await host.loseIncoming(10);
    await ask('slow', []);
    await readyAfterOneRun('slow', host);
    await goneAfterOneCleanup('slow', host);
  },

  'packets that vanish in the middle of a run are noticed, told, and the run is followed again': async () => {
    const { host } = await running('silent');
    await host.linkDown();
    const isLost = (object: AnyObject): boolean =>
      ['ConnectionLost', 'ConnectTimeout'].includes(conditionOf(object, 'HostReachable')?.reason ?? '');
    const lost = await environment().client.waitFor(machine('silent'), isLost, 90_000);
    expect(conditionOf(lost, 'Ready')?.status).toBe('Unknown');
    await host.linkUp();
    await letGo(host, RUN);
    await readyAfterOneRun('silent', host);
  },

  'sshd that is restarted in the middle of a run, which goes on': async () => {
    const { host } = await running('restarted');
    await host.stopSSHD();
    await host.startSSHD();
    await letGo(host, RUN);
    await readyAfterOneRun('restarted', host);
  },

  'a disk that is full: the words of the system, and the run begins once there is room': async () => {
    const { host } = await place('full', {}, { diskSize: 24 });
    await host.exec('dd if=/dev/zero of=/var/full bs=64k; :');
    await ask('full', []);
    const says = ['No space left on device', 'Free space'];
    await reports.expect('full', { type: 'BootstrapExecSucceeded', reason: 'HostNotWritable', says, ready: 'Unknown' });
    await host.exec('rm /var/full');
    await readyAfterOneRun('full', host);
  },

  'a disk that is full when the host is to be cleaned keeps the entry from everybody until there is room': async () => {
    const { host } = await place('filled', {}, { diskSize: 24 });
    await ask('filled', []);
    await readyAfterOneRun('filled', host);
    await host.exec('dd if=/dev/zero of=/var/full bs=64k; :');
    await environment().client.delete(objects.clusterRef('Machine', 'filled'));
    const isDirty = (object: AnyObject): boolean => conditionOf(object, 'CleanedUp')?.message?.includes('No space left on device') === true;
    const dirty = await environment().client.waitFor(machine('filled'), isDirty);
    expect(conditionOf(dirty, 'CleanedUp')).toMatchObject({
      status: 'Unknown',
      reason: expect.stringMatching(/^(HostNotWritable|CleanupFailed)$/) as string,
    });
    await host.exec('rm /var/full');
    await goneAfterOneCleanup('filled', host);
  },

  'a read-only file system: the words of the system, and the run begins once it can be written': async () => {
    const { host } = await place('readonly');
    await host.exec(`mkdir -p ${STATE} && mount --bind ${STATE} ${STATE} && mount -o remount,bind,ro ${STATE}`);
    await ask('readonly', []);
    const says = ['Read-only file system'];
    await reports.expect('readonly', { type: 'BootstrapExecSucceeded', reason: 'HostNotWritable', says, ready: 'Unknown' });
    await host.exec(`umount ${STATE}`);
    await readyAfterOneRun('readonly', host);
  },

  'an entry that is edited while its machine runs is its host still': async () => {
    const { client } = environment();
    const { host } = await running('edited');
    const { status } = await client.get<Entry>(entry('edited'));
    await client.patch(entry('edited'), { metadata: { labels: { edited: 'yes' } }, spec: { failureDomain: 'elsewhere' } });
    await letGo(host, RUN);
    await readyAfterOneRun('edited', host);
    expect((await client.get<Entry>(entry('edited'))).status).toMatchObject({ reserved: true, machineRef: status?.machineRef });
    await reports.ready('edited');
    await goneAfterOneCleanup('edited', host);
  },

  'an entry that is deleted in the foreground while its machine runs stays until that is gone and its host clean': async () => {
    const { client } = environment();
    const { host } = await running('pruned');
    await letGo(host, RUN);
    await readyAfterOneRun('pruned', host);
    await client.waitFor(entry('pruned'), ({ metadata }) => (metadata.finalizers ?? []).length > 0);
    await client.delete(entry('pruned'), 'Foreground');
    await reports.ready('pruned');
    expect(await historyOf(host)).toHaveLength(1);
    await client.delete(objects.clusterRef('Machine', 'pruned'));
    await client.waitForGone(entry('pruned'));
    expect(await historyOf(host)).toEqual([expect.stringMatching(/^run pruned-/), 'clean']);
    await client.waitForGone(machine('pruned'));
  },

  'an entry that is deleted with its finalizer, and made anew, is the one of its machine again': async () => {
    const { client } = environment();
    const { host } = await running('stripped');
    await letGo(host, RUN);
    await readyAfterOneRun('stripped', host);
    const held = await client.waitFor<Entry>(entry('stripped'), ({ metadata }) => (metadata.finalizers ?? []).length > 0);
    await client.patch(entry('stripped'), { metadata: { finalizers: null } });
    await client.delete(entry('stripped'));
    await client.waitForGone(entry('stripped'));
    const { apiVersion, kind, spec } = held;
    await client.apply({ apiVersion, kind, metadata: { namespace: objects.namespace, name: 'stripped' }, spec });
    await client.waitFor<Entry>(entry('stripped'), ({ status }) => status?.machineRef?.uid === held.status?.machineRef?.uid);
    await reports.ready('stripped');
    await goneAfterOneCleanup('stripped', host);
  },
});
