/** What befalls the API server, the way to it and the operator's clock, on a management cluster of its own: nothing runs twice, nothing is missed. */
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { ApiProxy, type Verdict } from '../env/api-proxy.ts';
import { type AnyObject, Client } from '../env/client.ts';
import { type ControlPlane, startControlPlane } from '../env/control-plane.ts';
import { compactEtcd } from '../env/etcd.ts';
import type { Host } from '../env/hosts.ts';
import { prepareManager } from '../env/managers.ts';
import { type Operator, startOperator } from '../env/operator.ts';
import type { ManagedProcess } from '../env/process.ts';
import { lastsUntil, waitForFile } from '../fixtures/hosts.ts';
import { Objects } from '../fixtures/objects.ts';
import { cleanUpCommands, conditionOf, type Entry, historic, historyOf, isCleaned, isFree } from '../fixtures/pool.ts';
import { Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const RUN = '/var/tmp/e2e-run';
const environment = sharedEnvironment('api-faults');
let objects: Objects;
let reports: Reports;
let plane: ControlPlane;
let client: Client;
let core: ManagedProcess;
let proxy: ApiProxy;
let operator: Operator;
let clock: string;

/** Name of an object -> what becomes of the requests about it. */
const rules = new Map<string, (request: IncomingMessage) => Verdict>();

/** The first `times` requests of each kind get this answer. */
function refuse(name: string, verdict: Verdict, times: number, concerns: RegExp = /./): void {
  const counts = new Map<string, number>();
  rules.set(name, ({ method = '', url = '' }) => {
    const key = `${method} ${url}`;
    if (!concerns.test(key)) return undefined;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return count <= times ? verdict : undefined;
  });
}

const machine = (name: string) => objects.ref('RemoteMachine', name);
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);

async function place(name: string): Promise<Host> {
  const host = await environment().createHost();
  await client.apply(objects.entry(name, name, host, { cleanUpCommands }));
  return host;
}

/** With its owner, as Cluster API core sets it: core has to find back to the API server, too, and takes longer. */
async function ask(name: string, commands: string[] = []): Promise<void> {
  const [, owner] = await client.applyAll([objects.bootstrapData(name, historic(commands)), objects.machine(name, 'main')]);
  const { apiVersion, kind } = objects.clusterRef('Machine', name);
  const ownerReferences = [{ apiVersion, kind, name, uid: owner?.metadata.uid ?? '', controller: true }];
  const labels = { 'cluster.x-k8s.io/cluster-name': 'main' };
  await client.apply(objects.remoteMachine(name, { pool: name }, { ownerReferences, labels }));
}

/** A machine becomes ready by one run and is released by one cleanup, whatever happens to requests on the way. */
async function wholeLife(name: string): Promise<void> {
  const host = await place(name);
  await ask(name);
  await reports.ready(name);
  await client.delete(objects.clusterRef('Machine', name));
  await client.waitForGone(machine(name));
  await client.waitFor<Entry>(entry(name), isFree);
  expect(await historyOf(host)).toEqual([expect.stringMatching(`^run ${name}-`), 'clean']);
  expect(await isCleaned(host)).toBe(true);
}

/** A machine whose run waits, and what lets it go on. */
async function running(name: string): Promise<() => Promise<Host>> {
  const host = await place(name);
  await ask(name, [lastsUntil(RUN)]);
  await waitForFile(host, `${RUN}.began`);
  return async () => {
    await host.exec(`touch ${RUN}`);
    return host;
  };
}

async function restartAPIServer(): Promise<void> {
  await plane.killAPIServer();
  await plane.startAPIServer();
}

beforeAll(async () => {
  const { state, namespace, createHost } = environment();
  objects = new Objects(namespace);
  plane = await startControlPlane(state.run, { name: `${namespace}-plane`, controllerManager: true }, () => undefined);
  client = await Client.connect(plane.kubeconfig);
  client.rest.patience = 30_000;
  reports = new Reports(client, objects);
  core = await (await prepareManager(state.run, 'core', { controlPlane: plane, client }, () => undefined))();
  proxy = await ApiProxy.start(plane);
  proxy.judge = (request) => {
    const [, rule] = [...rules].find(([name]) => new RegExp(`/${name}\\b`).test(request.url ?? '')) ?? [];
    return rule?.(request);
  };
  clock = join(plane.folder, 'clock');
  await writeFile(clock, '+0\n');
  const env = {
    LD_PRELOAD: '/usr/$LIB/faketime/libfaketime.so.1',
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  operator = await startOperator(state.run, { controlPlane: plane, client }, { server: proxy.url, env, args: ['-v', '2'] });
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await client.applyAll([objects.sshKey('pool-key', await createHost()), ...objects.cluster('main')]);
});
afterAll(async () => {
  await operator.kill();
  await core.kill();
  proxy.close();
  client.rest.close();
  await plane.stop();
});

describe('an API server', () => {
  const conflict = { code: 409, reason: 'Conflict' };
  const busy = { code: 429, reason: 'TooManyRequests' };
  const broken = { code: 500, reason: 'InternalError' };

  sideBySide({
    'that answers every first two writes of a kind with 409': async () => {
      refuse('conflicts', conflict, 2, /^PATCH/);
      await wholeLife('conflicts');
    },
    'that answers every first two requests of a kind with 429': async () => {
      refuse('busy', busy, 2);
      await wholeLife('busy');
    },
    'that answers every first two requests of a kind with 500': async () => {
      refuse('broken', broken, 2);
      await wholeLife('broken');
    },
    'whose answers to the first two writes of a kind get lost, although they were done': async () => {
      refuse('lost', 'lost answer', 2, /^PATCH/);
      await wholeLife('lost');
    },
    'that does not answer the first write of a status': async () => {
      refuse('mute', 'no answer', 1, /^PATCH .*remotemachines\/mute\/status/);
      await wholeLife('mute');
    },
    'that keeps refusing what is needed is told of': async () => {
      refuse('refused', broken, Infinity, /secrets/);
      await place('refused');
      await ask('refused');
      const says = ['The API server refused a request', 'secrets/refused', '500'];
      await reports.expect('refused', { type: 'HostReachable', status: 'False', reason: 'InternalError', says, ready: 'Unknown' });
      rules.delete('refused');
      await reports.ready('refused');
    },
  });
});

test('what happened while no watch could be had is found out afterwards', async () => {
  await place('unwatched');
  await client.waitForCondition(entry('unwatched'), 'Ready');
  proxy.refusesWatches = true;
  proxy.cutWatches();
  const host = await place('meanwhile');
  await ask('meanwhile');
  await client.delete(entry('unwatched'));
  await client.waitForGone(entry('unwatched'));
  proxy.refusesWatches = false;
  await reports.ready('meanwhile');
  expect(await historyOf(host)).toHaveLength(1);
  // Its host is not handed out.
  await ask('unwatched');
  await reports.expect('unwatched', { type: 'HostReserved', reason: 'NoSuchPool', says: ['unwatched'], ready: 'Unknown' });
});

test('an API server that is killed and comes back in the middle of a run', async () => {
  const goOn = await running('restarted');
  await restartAPIServer();
  const host = await goOn();
  await reports.ready('restarted');
  expect(await historyOf(host)).toHaveLength(1);
});

test('the past that a watch asks for is gone (410): everything is listed anew, and what was deleted meanwhile is no host any more', async () => {
  await place('compacted');
  await client.waitForCondition(entry('compacted'), 'Ready');
  const goOn = await running('listed');
  proxy.refusesWatches = true;
  proxy.cutWatches();
  await client.delete(entry('compacted'));
  await client.waitForGone(entry('compacted'));
  await compactEtcd(plane);
  await restartAPIServer();
  proxy.refusesWatches = false;
  await ask('compacted');
  await reports.expect('compacted', { type: 'HostReserved', reason: 'NoSuchPool', says: ['compacted'], ready: 'Unknown' });
  const host = await goOn();
  await reports.ready('listed');
  expect(await historyOf(host)).toHaveLength(1);
});

test('a clock that jumps by three hours, there and back, ends no run, and gives up no host before its time', async () => {
  const goOn = await running('clock');
  const off = await place('off');
  await ask('off');
  await reports.ready('off');
  await off.powerCut();
  await writeFile(clock, '+3h\n');
  await client.delete(objects.clusterRef('Machine', 'off'));
  const isTried = (object: AnyObject) => /^(ConnectTimeout|HostUnreachable)$/.test(conditionOf(object, 'CleanedUp')?.reason ?? '');
  // Cluster API core deletes it first, then a connection takes its time to fail.
  const tried = conditionOf(await client.waitFor(machine('off'), isTried, 150_000), 'CleanedUp');
  // The operator's own clock is the one of its log; conditions have the API server's time.
  expect(Date.parse(/"ts":"([^"]+)"[^\n]*\n$/.exec(operator.logs())?.[1] ?? '') - Date.now()).toBeGreaterThan(7_200_000);
  expect(Math.abs(Date.parse(tried?.lastTransitionTime ?? '') - Date.now())).toBeLessThan(600_000);
  expect(conditionOf(await client.get(machine('clock')), 'Ready')?.status).toBe('Unknown');
  await writeFile(clock, '+0\n');
  const host = await goOn();
  await reports.ready('clock');
  expect(await historyOf(host)).toHaveLength(1);
  await off.start();
  await client.waitForGone(machine('off'));
  expect(await historyOf(off)).toEqual([expect.stringMatching(/^run off-/), 'clean']);
});
