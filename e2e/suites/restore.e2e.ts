/** A backup that is restored: every status lost, every UID new. Nothing runs again, nothing is cleaned, no host changes hands. */
import type { AnyObject } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { Backup } from '../fixtures/backup.ts';
import { lastsUntil, waitForFile } from '../fixtures/hosts.ts';
import { Objects, PREFIX } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, entryOf, historic, historyOf, isCleaned, isFree, runIDOf } from '../fixtures/pool.ts';
import { Reports } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'kept';
const RUN = '/var/tmp/e2e-run';
const MENDED = '/var/tmp/e2e-mended';
const environment = sharedEnvironment('restore');
let objects: Objects;
let operator: Operator;
let backup: Backup;
const hosts = new Map<string, Host>();
/** Of the machines before they were lost. */
let before: Map<string, { uid: string | undefined; runID: string | undefined; entry: string | undefined; providerID: unknown }>;
let histories: string[][];

/** Machine -> its pool; undefined: it names its host. Each but `gone` is there when the backup is taken. */
const machines: Record<string, string | undefined> = { 'pool-a': 'pool', 'pool-b': 'pool', own: undefined, failed: 'bad', running: 'busy' };
/** Entry -> its pool; every host has the name of its entry, or of the machine that names it. */
const entries: Record<string, string> = {
  'entry-0': 'pool',
  'entry-1': 'pool',
  'entry-2': 'pool',
  bad: 'bad',
  busy: 'busy',
  dirty: 'dirty',
};

const host = (name: string): Host => hosts.get(name) as Host;
const remote = (name: string) => objects.ref('RemoteMachine', name);
const entryRef = (name: string) => objects.ref('PooledRemoteMachine', name);
const commandsOf = (name: string): string[] => ({ failed: ['exit 3'], running: [lastsUntil(RUN)] })[name] ?? [];
const isRunning = ({ status }: AnyObject): boolean => (status?.['bootstrap'] as { phase?: string } | undefined)?.phase === 'Running';
const allHistories = () => Promise.all([...hosts.values()].map(historyOf));
const saysReady = (status: string, reason?: string) => (object: AnyObject) => {
  const ready = conditionOf(object, 'Ready');
  return ready?.status === status && (reason === undefined || ready.reason === reason);
};

const machine = (name: string, pool: string | undefined, metadata: object = {}) => {
  const spec = pool === undefined ? { address: host(name).address, sshKeyRef: { name: 'pool-key' }, cleanUpCommands } : { pool };
  return [
    objects.bootstrapData(name, historic(commandsOf(name))),
    objects.remoteMachine(name, spec, metadata),
    objects.machine(name, CLUSTER),
  ];
};

async function startOperator(): Promise<void> {
  operator = await environment().startOperator({ namespace: objects.namespace, args: ['-v', '2'] });
}

/** As everything was when the backup was taken: machines that run, one that failed, one that is under way, and a host in quarantine. */
async function settle(): Promise<void> {
  const { client } = environment();
  for (const [name, pool] of Object.entries(machines)) {
    await client.applyAll(machine(name, pool));
    if (pool === 'pool') await client.waitForCondition(remote(name), 'Ready');
  }
  await client.applyAll(machine('gone', 'dirty', { annotations: { [`${PREFIX}/cleanup-deadline`]: '1s' } }));
  await client.waitForCondition(remote('gone'), 'Ready');
  await client.delete(objects.clusterRef('Machine', 'gone'));
  await client.waitForGone(objects.clusterRef('Machine', 'gone'));
  await client.waitForCondition(remote('own'), 'Ready');
  await client.waitFor(remote('failed'), saysReady('False', 'BootstrapFailed'));
  await waitForFile(host('busy'), `${RUN}.began`);
  await client.waitFor<Entry>(entryRef('busy'), ({ metadata }) => metadata.finalizers?.length === 1);
}

beforeAll(async () => {
  const { client, namespace, createHosts } = environment();
  objects = new Objects(namespace);
  const names = [...Object.keys(entries), 'own'];
  const [made] = await Promise.all([createHosts(names.length), startOperator()]);
  for (const [index, name] of names.entries()) hosts.set(name, made[index] as Host);
  await client.applyAll([objects.sshKey('pool-key', host('own')), ...objects.cluster(CLUSTER)]);
  for (const [name, pool] of Object.entries(entries)) {
    const commands = name === 'dirty' ? [...cleanUpCommands, `test -e ${MENDED}`] : cleanUpCommands;
    await client.apply(objects.entry(name, pool, host(name), { cleanUpCommands: commands }));
  }
  await settle();
  await operator.kill();
  histories = await allHistories();
  before = new Map();
  for (const name of Object.keys(machines)) {
    const object = await client.get(remote(name));
    const { uid } = object.metadata;
    before.set(name, { uid, runID: runIDOf(object), entry: entryOf(object), providerID: object.spec?.['providerID'] });
  }
  backup = await Backup.take(client, namespace);
  await backup.loseEverything();
  await startOperator();
});

test('entries that come back alone are not handed out, and nobody touches their hosts', async () => {
  const { client } = environment();
  await backup.restore('Secret', 'PooledRemoteMachine');
  for (const name of ['entry-0', 'entry-1', 'bad', 'busy'])
    await client.waitFor(entryRef(name), saysReady('Unknown', 'ReservationUnknown'));
  await client.waitFor(entryRef('dirty'), saysReady('False', 'Quarantined'));
  await client.waitFor<Entry>(entryRef('entry-2'), isFree);
});

test('who is new gets the one host that was free, and no other', async () => {
  const { client } = environment();
  await backup.restore('RemoteCluster', 'Cluster');
  for (const pool of ['bad', 'busy', 'dirty', 'pool']) await client.applyAll(machine(`new-${pool}`, pool));
  const ready = await client.waitForCondition(remote('new-pool'), 'Ready');
  expect(entryOf(ready)).toBe('entry-2');
  for (const pool of ['bad', 'busy', 'dirty']) await client.waitFor(remote(`new-${pool}`), saysReady('Unknown', 'WaitingForHost'));
});

test('every machine is again what it was', async () => {
  const { client } = environment();
  await backup.restore('RemoteMachine');
  await backup.restore('Machine');
  for (const name of ['pool-a', 'pool-b', 'own']) {
    const ready = await client.waitForCondition(remote(name), 'Ready');
    expect(ready.status).toMatchObject({ ready: true, initialization: { provisioned: true } });
  }
  await client.waitFor(remote('failed'), saysReady('False', 'BootstrapFailed'));
  await client.waitFor(remote('running'), isRunning);
  for (const [name, was] of before) {
    const { metadata, spec } = await client.get(remote(name));
    expect(metadata.uid).not.toBe(was.uid);
    expect({ runID: metadata.annotations?.[`${PREFIX}/run-id`], providerID: spec?.['providerID'] }).toEqual({
      runID: was.runID,
      providerID: was.providerID,
    });
    if (was.entry === undefined) continue;
    const isIts = ({ status }: Entry) =>
      status?.machineRef?.uid === metadata.uid && conditionOf({ status } as Entry, 'Clean')?.status === 'True';
    await client.waitFor<Entry>(entryRef(was.entry), isIts);
  }
  const now = await allHistories();
  const newcomer = [...hosts.keys()].indexOf('entry-2');
  const dirty = [...hosts.keys()].indexOf('dirty');
  expect(now[newcomer]).toEqual([expect.stringMatching(/^run new-pool-/)]);
  // In quarantine it is tried again.
  expect(new Set(now[dirty])).toEqual(new Set(histories[dirty]));
  for (const [index, history] of histories.entries()) if (![newcomer, dirty].includes(index)) expect(now[index]).toEqual(history);
});

test('the run that was under way is followed to its end', async () => {
  const { client } = environment();
  await host('busy').exec(`touch ${RUN}`);
  await client.waitForCondition(remote('running'), 'Ready');
  expect(await historyOf(host('busy'))).toEqual([`run ${before.get('running')?.runID}`]);
});

test('a deletion cleans each host once, and those who waited get them', async () => {
  const { client } = environment();
  for (const pool of ['bad', 'busy', 'dirty']) await client.delete(objects.clusterRef('Machine', `new-${pool}`));
  for (const pool of ['bad', 'busy', 'dirty']) await client.waitForGone(remote(`new-${pool}`));
  await client.delete(objects.clusterRef('Cluster', CLUSTER));
  for (const name of [...Object.keys(machines), 'new-pool']) await client.waitForGone(remote(name));
  for (const name of Object.keys(entries)) if (name !== 'dirty') await client.waitFor<Entry>(entryRef(name), isFree);
  for (const [name, place] of hosts) {
    if (name === 'dirty') continue;
    expect(await historyOf(place)).toEqual([expect.stringMatching(/^run /), 'clean']);
    expect(await isCleaned(place)).toBe(true);
  }
  const events = await new Reports(client, objects).all();
  const lost = events.filter(({ reason }) => ['ClaimLost', 'BootstrapVanished', 'HostRebooted'].includes(reason));
  expect(lost.map(({ note }) => note)).toEqual([]);
});

test('the host in quarantine is free once it can be cleaned', async () => {
  const { client } = environment();
  await host('dirty').exec(`touch ${MENDED}`);
  // An edit is tried at once.
  await client.patch(entryRef('dirty'), { spec: { failureDomain: 'mended' } });
  await client.waitFor<Entry>(entryRef('dirty'), isFree);
  expect(await isCleaned(host('dirty'))).toBe(true);
});
