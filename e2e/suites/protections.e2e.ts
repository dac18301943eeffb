/** What can go wrong with machines over SSH, and what comes of it here: see docs/protections.md. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { AnyObject } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import { gateway } from '../env/network.ts';
import type { Operator } from '../env/operator.ts';
import { lastsUntil, mustExec, waitForFile } from '../fixtures/hosts.ts';
import { counting, Objects, PREFIX } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, entryOf, historic, historyOf, isCleaned, isFree, runIDOf } from '../fixtures/pool.ts';
import { type Report, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'main';
const RUN = '/var/tmp/e2e-run';
const CLEANUP = '/var/tmp/e2e-cleanup';
const CLAIM = '/var/lib/cluster-api-provider-remote/claim';
const SENTINEL = '/run/cluster-api/bootstrap-success.complete';
/** Wins over the flag, for machines whose cleanup is to succeed however busy everything is. */
const PATIENT = { annotations: { [`${PREFIX}/cleanup-deadline`]: '10m' } };
const environment = sharedEnvironment('protections');
let objects: Objects;
let reports: Reports;
let operator: Operator;
/** Of the machine of that name. */
let steady: Host;

async function startOperator(): Promise<void> {
  const args = ['-v', '2', '--concurrency=2', '--cleanup-deadline=15s', '--ssh-connect-timeout=3s'];
  operator = await environment().startOperator({ namespace: objects.namespace, args });
}
const machine = (name: string) => objects.ref('RemoteMachine', name);
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);
const remove = (name: string) => environment().client.delete(objects.clusterRef('Machine', name));
const letGo = (host: Host, path: string) => mustExec(host, `touch ${path}`);

/** Entries `<pool>-0`, `<pool>-1`, … with hosts of their own. */
async function place(pool: string, count = 1, connection: object = { cleanUpCommands }): Promise<[Host, ...Host[]]> {
  const { client, createHosts } = environment();
  const hosts = (await createHosts(count)) as [Host, ...Host[]];
  await client.applyAll(hosts.map((host, i) => objects.entry(`${pool}-${i}`, pool, host, connection)));
  return hosts;
}

/** A machine that takes a host of the pool. */
const ask = (name: string, pool: string, commands: string[] = [], metadata: object = PATIENT): Promise<AnyObject[]> =>
  environment().client.applyAll([
    objects.bootstrapData(name, historic(commands)),
    objects.remoteMachine(name, { pool }, metadata),
    objects.machine(name, CLUSTER),
  ]);

const waiting = (...says: string[]): Report => ({ type: 'HostReserved', reason: 'WaitingForHost', says, ready: 'Unknown' });
const runOf = (name: string) => expect.stringMatching(`^run ${name}-`) as string;

/** The machine is gone, and its entry kept from everybody, for that reason and in these words. */
async function inQuarantine(name: string, entryName: string, reason: RegExp, ...says: string[]): Promise<void> {
  const { client } = environment();
  await client.waitForGone(machine(name));
  await reports.event(name, 'CleanupDeadlineExceeded', 'RemoteMachine', says);
  const kept = await client.waitFor<Entry>(entry(entryName), (one) => conditionOf(one, 'Clean')?.status === 'False');
  expect(kept.status?.reserved).toBe(true);
  expect(conditionOf(kept, 'Ready')).toMatchObject({ status: 'False', reason: 'Quarantined' });
  expect(conditionOf(kept, 'Clean')?.reason).toMatch(reason);
  for (const part of says) expect(conditionOf(kept, 'Clean')?.message).toContain(part);
}

/** Its history, however often it was cleaned in between: a cleanup that is slow is killed and tried again. */
const turnsOf = async (host: Host): Promise<string[]> =>
  (await historyOf(host)).filter((line, i, all) => line !== 'clean' || all[i - 1] !== 'clean');

/** Whose it was in turn. */
async function heldBy(host: Host, ...names: string[]): Promise<void> {
  expect(await turnsOf(host)).toEqual(names.flatMap((name, i) => (i === 0 ? [runOf(name)] : ['clean', runOf(name)])));
}

const servers: Server[] = [];
/** An address that takes connections and says nothing. */
async function silentPort(): Promise<{ address: string; port: number; connected: Promise<unknown> }> {
  const address = gateway(environment().state.hosting?.network.prefix ?? '');
  const server = createServer();
  servers.push(server);
  const connected = once(server, 'connection');
  server.listen(0, address);
  await once(server, 'listening');
  return { address, port: (server.address() as AddressInfo).port, connected };
}

beforeAll(async () => {
  const { client, namespace, createHost } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  await startOperator();
  steady = await createHost();
  await client.applyAll([objects.sshKey('pool-key', steady), ...objects.cluster(CLUSTER)]);
  await client.applyAll(objects.explicit('steady', CLUSTER, steady, counting(), { cleanUpCommands }));
});
afterAll(() => {
  for (const server of servers) server.close();
});

sideBySide({
  'a running machine keeps its host when its entry loses its reservation or is gone, though another is free': async () => {
    const { client } = environment();
    const [own, other] = (await place('kept', 2)) as [Host, Host];
    await ask('keeper', 'kept');
    const { metadata, spec } = await reports.ready('keeper');
    await client.waitFor(entry('kept-0'), (one) => one.metadata.finalizers?.length === 1);
    await client.patch(entry('kept-0'), { status: { reserved: false, machineRef: null } }, 'status');
    await client.waitFor<Entry>(entry('kept-0'), ({ status }) => status?.machineRef?.uid === metadata.uid);
    await client.deleteByForce(entry('kept-0'));
    // Its host under another name.
    await client.apply(objects.entry('kept-again', 'kept', own, { cleanUpCommands }));
    await ask('rival', 'kept');
    expect(entryOf(await reports.ready('rival'))).toBe('kept-1');
    await ask('late', 'kept');
    await reports.expect('late', waiting('2 in it, 1 reserved, 1 taken'));
    expect((await client.get(machine('keeper'))).spec).toEqual(spec);
    await heldBy(own, 'keeper');

    await remove('keeper');
    await client.waitForGone(machine('keeper'));
    expect(entryOf(await reports.ready('late'))).toBe('kept-again');
    expect(await historyOf(own)).toEqual([runOf('keeper'), 'clean', runOf('late')]);
    expect(await historyOf(other)).toEqual([runOf('rival')]);
  },

  'a machine of the same name as the last one is another machine: it gets the host once that is clean': async () => {
    const { client } = environment();
    const [host] = await place('name', 1, { cleanUpCommands: [...cleanUpCommands, lastsUntil(CLEANUP)] });
    await ask('namesake', 'name');
    const first = await reports.ready('namesake');
    await client.patch(machine('namesake'), { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } });
    await client.waitForCondition(machine('namesake'), 'Paused');
    await client.deleteByForce(machine('namesake'));
    await client.deleteByForce(objects.clusterRef('Machine', 'namesake'));
    await ask('namesake', 'name');
    await waitForFile(host, `${CLEANUP}.began`);
    await reports.expect('namesake', waiting('1 in it, 1 reserved'));
    await letGo(host, CLEANUP);
    const second = await reports.ready('namesake');
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
    expect(await turnsOf(host)).toEqual([`run ${runIDOf(first)}`, 'clean', `run ${runIDOf(second)}`]);
  },

  'a host whose cleanup fails stays in quarantine with what it printed, is tried again, and is handed on once it is clean': async () => {
    const [host] = await place('dirty', 1, { cleanUpCommands: [...cleanUpCommands, 'echo this is why; test -e /root/cleanable'] });
    await ask('untidy', 'dirty');
    await reports.ready('untidy');
    await remove('untidy');
    const says = ['cleanUpCommands[1]: failed with exit code 1. Last output:\nthis is why'];
    await reports.expect('untidy', { type: 'CleanedUp', reason: 'CleanupFailed', says, ready: 'Unknown' });
    await environment().client.patch(machine('untidy'), { metadata: { annotations: { [`${PREFIX}/cleanup-deadline`]: '1s' } } });
    await environment().client.waitForGone(machine('untidy'));
    await ask('heir', 'dirty');
    await reports.expect('heir', waiting('1 quarantined'));
    await inQuarantine('untidy', 'dirty-0', /^CleanupFailed$/, ...says);
    await letGo(host, '/root/cleanable');
    await reports.ready('heir');
    await reports.event('dirty-0', 'Released', 'PooledRemoteMachine', ['confirmed by looking at it']);
    await heldBy(host, 'untidy', 'heir');
  },

  'cleanUpCommands that are corrected in the entry are those that run when its machine is deleted': async () => {
    const { client } = environment();
    const [host] = await place('corrected', 1, { cleanUpCommands: [...cleanUpCommands, 'no-such-command'] });
    await ask('mistaken', 'corrected');
    await reports.ready('mistaken');
    await remove('mistaken');
    const says = ['cleanUpCommands[1]: failed with exit code 127. Last output:', 'no-such-command: not found'];
    await reports.expect('mistaken', { type: 'CleanedUp', reason: 'CleanupFailed', says, ready: 'Unknown' });
    const tries = (await historyOf(host)).length;
    await client.patch(entry('corrected-0'), { spec: { machine: { cleanUpCommands: ['touch /root/corrected'] } } });
    await client.waitForGone(machine('mistaken'));
    await client.waitFor<Entry>(entry('corrected-0'), isFree);
    expect(await isCleaned(host)).toBe(true);
    expect(await host.exists('/root/corrected')).toBe(true);
    expect((await historyOf(host)).length).toBeLessThanOrEqual(tries + 1);
  },

  'commands that all succeed are not enough: what must be gone is looked for on the host': async () => {
    const { client } = environment();
    const [host] = await place('checked', 1, {});
    const [apiGroup, kind] = ['bootstrap.cluster.x-k8s.io', 'KubeadmConfig'];
    const config = { apiVersion: `${apiGroup}/v1beta2`, kind, metadata: { namespace: objects.namespace, name: 'checked' } };
    const bootstrap = { dataSecretName: 'checked', configRef: { apiGroup, kind, name: 'checked' } };
    await client.applyAll([
      config,
      objects.bootstrapData('checked', historic()),
      objects.remoteMachine('checked', { pool: 'checked' }, PATIENT),
      objects.machine('checked', CLUSTER, { bootstrap }),
    ]);
    await reports.ready('checked');
    // Of nobody's run.
    await mustExec(host, 'cp /bin/sleep /usr/local/bin/kubelet && setsid -f /usr/local/bin/kubelet 4711 </dev/null >/dev/null 2>&1');
    await remove('checked');
    const says = ['no process of Kubernetes is alive: does not hold', 'is alive: /usr/local/bin/kubelet'];
    await reports.expect('checked', { type: 'CleanedUp', reason: 'CleanupFailed', says, ready: 'Unknown' });
    expect((await client.get<Entry>(entry('checked-0'))).status?.reserved).toBe(true);
    await mustExec(host, 'pkill -x kubelet');
    await client.waitForGone(machine('checked'));
    await client.waitFor<Entry>(entry('checked-0'), isFree);
    expect(await isCleaned(host)).toBe(true);
  },

  'a machine whose host is gone goes at the deadline of the flag, and its entry waits for the host': async () => {
    const { client } = environment();
    const [host] = await place('dark');
    await ask('stranded', 'dark', [], {});
    await reports.ready('stranded');
    await host.powerCut();
    await remove('stranded');
    await inQuarantine('stranded', 'dark-0', /^(ConnectTimeout|HostUnreachable)$/, host.address);
    await ask('patient', 'dark');
    await reports.expect('patient', waiting('1 quarantined'));
    await host.start();
    // An edit is tried at once.
    await client.patch(entry('dark-0'), { spec: { failureDomain: 'lit' } });
    await reports.ready('patient');
    await heldBy(host, 'stranded', 'patient');
  },

  'a cleanup that hangs holds its machine no longer than the deadline; a release by force ends it, and an Event tells of that':
    async () => {
      const { client } = environment();
      const [host] = await place('hung', 1, { cleanUpCommands: [...cleanUpCommands, 'sleep 4711'] });
      const hangs = async () => (await host.exec('pgrep -f "sleep 471[1]"')).stdout !== '';
      await ask('hanging', 'hung', [], {});
      await reports.ready('hanging');
      await remove('hanging');
      await inQuarantine('hanging', 'hung-0', /^CleanupFailed$/, 'did not end');
      // The entry's own attempts have as much time each.
      const isKilled = (object: AnyObject) => conditionOf(object, 'Clean')?.message?.endsWith('s and was killed') === true;
      await client.waitFor(entry('hung-0'), isKilled);
      expect(await hangs()).toBe(false);
      await client.patch(entry('hung-0'), { metadata: { annotations: { [`${PREFIX}/release`]: 'force' } } });
      await reports.event('hung-0', 'ReleaseForced', 'PooledRemoteMachine', ['by a person without a confirmed cleanup']);
      await ask('bold', 'hung');
      const ready = await reports.ready('bold');
      expect(await hangs()).toBe(false);
      expect((await host.readFile(`${CLAIM}/run`)).trim()).toBe(runIDOf(ready));
      await heldBy(host, 'hanging', 'bold');
    },

  'a host that failed its bootstrap is cleaned before its next machine, and nothing of the failed run lives on': async () => {
    const [host] = await place('failed', 1, { cleanUpCommands: [...cleanUpCommands, 'rm -f /root/left'] });
    await ask('failing', 'failed', ['touch /root/left; sleep 4712 & exit 3']);
    await reports.expect('failing', {
      type: 'BootstrapExecSucceeded',
      status: 'False',
      reason: 'BootstrapFailed',
      says: ['runcmd[1] failed with exit code 3'],
      ready: 'False',
    });
    await ask('successor', 'failed', ['test ! -e /root/left', '! pgrep -f "sleep 471[2]"']);
    await reports.expect('successor', waiting('1 reserved'));
    await remove('failing');
    await reports.ready('successor');
    expect(await historyOf(host)).toEqual([runOf('failing'), 'clean', runOf('successor')]);
  },

  'a sentinel that an earlier run left is not taken for this one’s': async () => {
    const { client, createHost } = environment();
    const host = await createHost();
    await mustExec(host, `mkdir -p ${SENTINEL.slice(0, SENTINEL.lastIndexOf('/'))} && echo success >${SENTINEL}`);
    await client.applyAll(objects.explicit('stale', CLUSTER, host, counting(['exit 0']), { cleanUpCommands }));
    const says = [`${SENTINEL} was not written`];
    await reports.expect('stale', { type: 'BootstrapExecSucceeded', status: 'False', reason: 'SentinelMissing', says, ready: 'False' });
  },

  'more runs and hosts that hang than there are workers hold up no other machine': async () => {
    const { client, createHosts } = environment();
    const [brisk, ...busy] = (await createHosts(4)) as [Host, ...Host[]];
    const silent = await Promise.all([0, 1, 2].map(silentPort));
    const names = busy.map((_, i) => `busy-${i}`);
    for (const [i, host] of busy.entries()) {
      const { address, port } = silent[i] as (typeof silent)[number];
      await client.applyAll([
        ...objects.explicit(`silent-${i}`, CLUSTER, host, counting(), { address, port }),
        ...objects.explicit(`busy-${i}`, CLUSTER, host, counting([lastsUntil(RUN)]), { cleanUpCommands }),
      ]);
    }
    await Promise.all([...busy.map((host) => waitForFile(host, `${RUN}.began`)), ...silent.map(({ connected }) => connected)]);
    await client.applyAll(objects.explicit('brisk', CLUSTER, brisk, counting(), { cleanUpCommands }));
    await reports.ready('brisk');
    for (const name of names) expect(conditionOf(await client.get(machine(name)), 'Ready')?.status).toBe('Unknown');
    for (const host of busy) await letGo(host, RUN);
    for (const name of names) await reports.ready(name);
  },

  'a machine whose Cluster never got its infrastructure can be deleted': async () => {
    const { client } = environment();
    await client.applyAll(objects.cluster('unbuilt').filter(({ kind }) => kind === 'Cluster'));
    await client.applyAll([objects.remoteMachine('early', { pool: 'early' }), objects.machine('early', 'unbuilt')]);
    const reason = 'WaitingForClusterInfrastructure';
    await client.waitFor(machine('early'), (one) => conditionOf(one, 'HostReserved')?.reason === reason);
    await remove('early');
    await client.waitForGone(machine('early'));
  },
});

test('what a provisioned machine says stays so: when it is looked at again, without its host, in both versions, and for the next operator', async () => {
  const { client } = environment();
  const settled = await client.waitFor(machine('steady'), (one) => conditionOf(one, 'NodeProviderIDSet') !== undefined);
  await steady.powerCut();
  await client.patch(machine('steady'), { metadata: { labels: { 'e2e/look': 'again' } } });
  await reports.operatorHasSeen('steady');
  expect((await client.get(machine('steady'))).status).toEqual(settled.status);
  await operator.kill();
  await startOperator();
  await reports.operatorHasSeen('restart');
  for (const version of ['v1beta1', 'v1beta2'])
    expect((await client.get({ ...machine('steady'), apiVersion: `${PREFIX}/${version}` })).status).toEqual(settled.status);
});
