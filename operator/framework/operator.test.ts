import type { KubeConfig } from '@kubernetes/client-node';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApiClient } from './client.ts';
import { Controller } from './controller.ts';
import { HealthServer } from './health.ts';
import { Informer } from './informer.ts';
import { loadKubeConfig } from './kubeconfig.ts';
import { LeaderElector } from './leader-election.ts';
import { createMetrics } from './metrics.ts';
import { RemoteOperator, type RemoteOperatorOptions } from './operator.ts';
import { FakeApiServer } from './testing/api-server.ts';
import { MemoryLogger } from './testing/log.ts';
import { LEASES, WIDGETS, widget, type Widget } from './testing/resources.ts';
import type { ReconcileContext, Request } from './types.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'operator-test-'));
const environment = { ...process.env };
let server: FakeApiServer;
let log: MemoryLogger;
let client: ApiClient;
let operators: RemoteOperator[];

beforeEach(async () => {
  server = await FakeApiServer.start([WIDGETS, LEASES]);
  log = new MemoryLogger();
  client = new ApiClient({ access: server.access(), version: 'test', log });
  operators = [];
});
afterEach(async () => {
  await Promise.all(operators.map((operator) => operator.stop()));
  client.close();
  await server.stop();
  process.env = { ...environment };
});
afterAll(() => rmSync(folder, { recursive: true }));

/** An operator that calls `reconcile` for every widget. */
const setUp = (
  options: Partial<RemoteOperatorOptions> = {},
  reconcile: (request: Request, context: ReconcileContext) => Promise<void> = () => Promise.resolve(),
) => {
  const file = path.join(folder, 'config');
  const cluster = { server: server.url, 'insecure-skip-tls-verify': true };
  const contexts = [{ name: 'x', context: { cluster: 'x', user: 'x' } }];
  const users = [{ name: 'x', user: {} }];
  writeFileSync(file, JSON.stringify({ clusters: [{ name: 'x', cluster }], users, contexts, 'current-context': 'x' }));
  const informer = new Informer<Widget>({ client, resource: WIDGETS, log });
  const controller = new Controller({
    name: 'widget',
    reconciler: { reconcile },
    concurrency: 1,
    log,
    metrics: createMetrics(),
    sources: (queue) => informer.onChange(({ object }) => queue.add({ namespace: 'default', name: object.metadata.name })),
  });
  const operator = new RemoteOperator({ config: loadKubeConfig(file), log, informers: [informer], controllers: [controller], ...options });
  operators.push(operator);
  return { operator, informer, controller };
};
const elector = (identity: string) =>
  new LeaderElector({ client, namespace: 'x', name: 'x', identity, log, leaseDuration: 1000, renewDeadline: 500, retryPeriod: 2 });
const never = () => new Promise<void>(() => undefined);

test('is built with the given kubeconfig, though the default one cannot be loaded', () => {
  process.env['KUBECONFIG'] = '/nowhere/config';
  const { operator } = setUp();
  const inherited = operator as unknown as { kubeConfig: KubeConfig };
  expect(inherited.kubeConfig.getCurrentCluster()?.server).toBe(server.url);
  expect(() => loadKubeConfig()).toThrow('/nowhere/config');
});

test('every method of the library that must not be used says so', async () => {
  const { operator } = setUp();
  const methods = operator as unknown as Record<string, () => Promise<never>>;
  for (const method of ['watchResource', 'patchResourceStatus', 'setResourceStatus', 'setResourceFinalizers', 'handleResourceFinalizer']) {
    await expect(methods[method]!()).rejects.toThrow(`${method} is not used here`);
  }
  await expect(methods['registerCustomResourceDefinition']!()).rejects.toThrow('use the manifests');
});

test('fills caches, then works; stop lets the work end and runs the cleanups in order', async () => {
  const steps: string[] = [];
  const reconciled = Promise.withResolvers<void>();
  const cleanups = ['first', 'second'].map((name) => () => Promise.resolve(void steps.push(name)));
  server.create(WIDGETS, widget('a'));
  const { operator, informer } = setUp({ cleanups, leaderElection: elector('a') }, async ({ name }, { signal }) => {
    steps.push(`begin ${name}`);
    reconciled.resolve();
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    steps.push(`end ${name}`);
  });
  await operator.start();
  expect(informer.get('default', 'a')).toBeDefined();
  await reconciled.promise;
  await Promise.all([operator.stop(), operator.stop()]);
  expect(await operator.ended).toBe('stopped');
  expect(steps).toEqual(['begin a', 'end a', 'first', 'second']);
  expect(server.get(LEASES, { namespace: 'x', name: 'x' }).spec).toMatchObject({ holderIdentity: '' });
  await server.watchesClosed();
});

test('a standby fills its caches and works once the leader gave up', async () => {
  const worked: string[] = [];
  const started = Promise.withResolvers<void>();
  server.create(WIDGETS, widget('a'));
  const first = setUp({ leaderElection: elector('first') }, () => Promise.resolve(void worked.push('first'))).operator;
  await first.start();
  await server.seen('PATCH', /leases/);
  const second = setUp({ leaderElection: elector('second') }, () => {
    worked.push('second');
    started.resolve();
    return Promise.resolve();
  });
  await second.operator.start();
  expect(second.informer.list()).toHaveLength(1);
  await server.seen('PATCH', /leases/);
  // As in controller-runtime: what nobody here is to work on does not wait here.
  expect(second.controller.queue.length).toBe(0);
  expect(worked).toEqual(['first']);
  await first.stop();
  await started.promise;
  expect(worked).toEqual(['first', 'second']);
});

test('ends by itself when leadership is lost', async () => {
  const { operator } = setUp({ leaderElection: elector('a') });
  await operator.start();
  await server.seen('PATCH', /leases/);
  server.patch(LEASES, { namespace: 'x', name: 'x' }, { spec: { holderIdentity: 'thief' } });
  expect(await operator.ended).toBe('lost leadership');
  expect(server.get(LEASES, { namespace: 'x', name: 'x' }).spec).toMatchObject({ holderIdentity: 'thief' });
});

test('is ready once the caches are filled', async () => {
  const release = Promise.withResolvers<void>();
  server.fail({ path: /widgets/, wait: release.promise });
  const health = new HealthServer({ address: '127.0.0.1:0', log });
  const listing = server.seen('GET', /widgets/);
  const { operator } = setUp({ health });
  const starting = operator.start();
  await listing;
  const ready = async () => {
    const response = await fetch(`http://${health.address}/readyz`);
    return [response.status, await response.text()];
  };
  expect(await ready()).toEqual([503, 'waiting for the first list of widgets']);
  release.resolve();
  await starting;
  expect(await ready()).toEqual([200, 'ok']);
});

test('stops before the caches are filled', async () => {
  server.fail({ path: /widgets/, instead: 'hang' });
  const { operator } = setUp();
  const starting = operator.start();
  await operator.stop();
  await starting;
});

test('a SIGTERM stops it, and its listeners go', async () => {
  const before = process.listenerCount('SIGTERM');
  const { operator } = setUp();
  await operator.start();
  process.emit('SIGTERM');
  expect(await operator.ended).toBe('stopped');
  expect(process.listenerCount('SIGTERM')).toBe(before);
});

test('workers and cleanups that do not end hold nothing up', async () => {
  server.create(WIDGETS, widget('a'));
  const begun = Promise.withResolvers<void>();
  const failing = () => Promise.reject(new Error('no'));
  const { operator } = setUp({ grace: 20, cleanups: [never, failing] }, () => {
    begun.resolve();
    return never();
  });
  await operator.start();
  await begun.promise;
  await operator.stop();
  expect(log.at('warn')).toEqual(['workers did not end in time', 'a cleanup did not end in time']);
  expect(log.at('error')).toEqual(['a cleanup failed while stopping']);
});

test('a port that is taken fails the start', async () => {
  const taken = new HealthServer({ address: '127.0.0.1:0', log });
  await taken.start();
  const { operator } = setUp({ health: new HealthServer({ address: taken.address, log }) });
  await expect(operator.start()).rejects.toThrow('cannot listen on');
  await taken.stop();
  expect(server.requests).toEqual([]);
});
