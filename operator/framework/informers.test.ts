import { ApiClient } from './client.ts';
import { Informer } from './informer.ts';
import { createInformer } from './informers.ts';
import { FakeApiServer } from './testing/api-server.ts';
import { MemoryLogger } from './testing/log.ts';
import { WIDGETS, widget, type Widget } from './testing/resources.ts';

let server: FakeApiServer;
let client: ApiClient;
const log = new MemoryLogger();
const stop = new AbortController();
let running: Promise<void> = Promise.resolve();

beforeAll(async () => {
  server = await FakeApiServer.start([WIDGETS]);
  client = new ApiClient({ access: server.access(), version: 'test', log, timeout: 500 });
});
afterAll(async () => {
  stop.abort();
  await running;
  client.close();
  await server.stop();
});

const sizes = { size: ({ spec }: Widget) => [String(spec?.size)] };
const names = (widgets: Widget[]) => widgets.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);

test('one namespace, or all, is one informer', () => {
  for (const namespaces of [undefined, ['a']])
    expect(createInformer({ client, log, resource: WIDGETS }, namespaces)).toBeInstanceOf(Informer);
});

test('some namespaces are one cache, and nothing else is asked for', async () => {
  for (const namespace of ['b', 'other', 'a']) {
    server.create(WIDGETS, widget('two', { size: 2 }, { namespace }));
    server.create(WIDGETS, widget('one', { size: 1 }, { namespace }));
  }
  const cache = createInformer<Widget>({ client, log, resource: WIDGETS, indexers: sizes }, ['b', 'a']);
  const told: string[] = [];
  cache.onChange(({ type, object }) => told.push(`${type} ${names([object])[0]}`));
  running = cache.run(stop.signal);
  await cache.synced;
  expect(names(cache.list()).sort()).toEqual(['a/one', 'a/two', 'b/one', 'b/two']);
  expect(names(cache.list('a')).sort()).toEqual(['a/one', 'a/two']);
  expect(cache.list('other')).toEqual([]);
  // The order is that of one informer: people rely on it.
  expect(names(cache.byIndex('size', '1'))).toEqual(['a/one', 'b/one']);
  expect(() => cache.byIndex('color', 'red')).toThrow('there is no index color');
  expect(cache.get('b', 'two')?.spec).toEqual({ size: 2 });
  expect(cache.get('other', 'two')).toBeUndefined();
  expect(told.sort()).toEqual(['added a/one', 'added a/two', 'added b/one', 'added b/two']);
  expect(server.requests.filter(({ path }) => !/\/namespaces\/(a|b)\/widgets\?/.test(path))).toEqual([]);
});

test('a write of ours is taken by the cache of its namespace', async () => {
  const cache = createInformer<Widget>({ client, log, resource: WIDGETS }, ['a', 'b']);
  running = Promise.all([running, cache.run(stop.signal)]).then(() => undefined);
  await cache.synced;
  await client.patch<Widget>(WIDGETS, { namespace: 'b', name: 'one' }, { spec: { size: 3 } });
  expect(cache.get('b', 'one')?.spec).toEqual({ size: 3 });
  expect(cache.get('a', 'one')?.spec).toEqual({ size: 1 });
});
