import { setImmediate } from 'node:timers/promises';
import { ApiClient } from './client.ts';
import { Informer, type InformerOptions } from './informer.ts';
import { FakeApiServer } from './testing/api-server.ts';
import { MemoryLogger } from './testing/log.ts';
import { WIDGETS, widget, type Widget } from './testing/resources.ts';

const name = { namespace: 'default', name: 'a' };
const isStream = /sendInitialEvents/;
const isList = /sendInitialEvents|widgets$/;
const isWatch = /watch=true(?!.*sendInitialEvents)/;
let server: FakeApiServer;
let client: ApiClient;
let log: MemoryLogger;
let stop: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  server = await FakeApiServer.start([WIDGETS]);
  log = new MemoryLogger();
  client = new ApiClient({ access: server.access(), version: 'test', log, timeout: 500 });
  stop = new AbortController();
  running = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await running;
  client.close();
  await server.stop();
});

/** An informer that runs, what it told, and a way to wait until it told something. */
const run = (options: Partial<InformerOptions<Widget>> = {}) => {
  const informer = new Informer<Widget>({ client, resource: WIDGETS, log, freeze: true, retry: { base: 1, max: 5 }, ...options });
  const changes: string[] = [];
  const waiting = new Set<() => void>();
  informer.onChange(({ type, object }) => {
    changes.push(`${type} ${object.metadata.name} ${JSON.stringify(object.spec)}`);
    waiting.forEach((check) => check());
  });
  const told = (change: string): Promise<void> =>
    new Promise((resolve) => {
      const check = () => {
        if (!changes.includes(change)) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  running = informer.run(stop.signal);
  return { informer, changes, told };
};
const asked = (path: RegExp) => server.requests.filter((request) => path.test(request.path)).length;

test('lists, then watches from there on', async () => {
  for (const one of ['a', 'b', 'c', 'd', 'e']) server.create(WIDGETS, widget(one));
  const watching = server.seen('GET', isWatch);
  const { informer, changes, told } = run();
  await informer.synced;
  expect(informer.list().map((object) => object.metadata.name)).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(asked(isList)).toBe(1);
  const query = new URL((await watching).path, server.url).searchParams;
  expect(query.get('allowWatchBookmarks')).toBe('true');
  expect(query.get('resourceVersion')).toBe(String(server.storage.revision));
  server.patch(WIDGETS, name, { spec: { size: 2 } });
  server.delete(WIDGETS, { ...name, name: 'b' });
  await told('deleted b {"size":1}');
  expect(changes.slice(5)).toEqual(['updated a {"size":2}', 'deleted b {"size":1}']);
  expect(informer.get('default', 'a')).toMatchObject({ apiVersion: 'example.com/v1', kind: 'Widget', spec: { size: 2 } });
});

test('a namespace narrows list, watch and absorb', async () => {
  server.create(WIDGETS, widget('a'));
  server.create(WIDGETS, widget('c', {}, { namespace: 'other' }));
  const watching = server.seen('GET', isWatch);
  const { informer } = run({ namespace: 'default' });
  await informer.synced;
  expect(informer.list().map((object) => object.metadata.name)).toEqual(['a']);
  await watching;
  await client.create<Widget>(WIDGETS, widget('e', {}, { namespace: 'other' }));
  await client.create<Widget>(WIDGETS, widget('f'));
  expect(informer.list().map((object) => object.metadata.name)).toEqual(['a', 'f']);
});

test('a server that keeps failing is told of from the third time on', async () => {
  server.fail({ method: 'GET', path: /widgets/, status: 500, times: 8 });
  const errors: unknown[] = [];
  const { informer } = run({ retry: { base: 1, max: 1 }, onFailing: (error) => errors.push(error) });
  await informer.synced;
  expect(errors).toMatchObject([{ status: 500 }, { status: 500 }]);
});

test('a reconcile sees its own write at once, and the caller may change what it got', async () => {
  server.create(WIDGETS, widget('a'));
  const watching = server.seen('GET', isWatch);
  const { informer, changes, told } = run();
  await watching;
  const mine = await client.patch<Widget>(WIDGETS, name, { spec: { size: 2 } });
  expect(informer.get('default', 'a')?.spec).toEqual({ size: 2 });
  mine.spec!.size = 99;
  expect(informer.get('default', 'a')?.spec).toEqual({ size: 2 });
  server.create(WIDGETS, widget('b'));
  await told('added b {"size":1}');
  expect(changes).toEqual(['added a {"size":1}', 'updated a {"size":2}', 'added b {"size":1}']);
});

describe('goes on', () => {
  test.each(['end', 'reset'] as const)('after a watch’s %s from the last version, without a list', async (how) => {
    server.create(WIDGETS, widget('a'));
    const watching = server.seen('GET', isWatch);
    const { changes, told } = run();
    await watching;
    const again = server.seen('GET', isWatch);
    server.endWatches(how);
    server.patch(WIDGETS, name, { spec: { size: 2 } });
    server.delete(WIDGETS, name);
    await again;
    await told('deleted a {"size":2}');
    expect(changes).toEqual(['added a {"size":1}', 'updated a {"size":2}', 'deleted a {"size":2}']);
    expect(asked(isList)).toBe(1);
  });

  test('from the version of a bookmark', async () => {
    const watching = server.seen('GET', isWatch);
    run();
    await watching;
    server.expire();
    server.bookmark();
    const again = server.seen('GET', isWatch);
    server.endWatches('end');
    expect((await again).path).toContain(`resourceVersion=${server.storage.revision}`);
    expect(asked(isList)).toBe(1);
  });

  test('after 410 with a new list, which tells of what vanished in the gap', async () => {
    server.create(WIDGETS, widget('a'));
    server.create(WIDGETS, widget('b'));
    const watching = server.seen('GET', isWatch);
    const { changes, told } = run();
    await watching;
    const release = Promise.withResolvers<void>();
    server.fail({ path: isWatch, wait: release.promise });
    const again = server.seen('GET', isWatch);
    server.endWatches('end');
    await again;
    server.delete(WIDGETS, name);
    server.patch(WIDGETS, { ...name, name: 'b' }, { spec: { size: 2 } });
    server.expire();
    release.resolve();
    await told('deleted a {"size":1}');
    expect(changes.slice(2)).toEqual(['updated b {"size":2}', 'deleted a {"size":1}']);
    expect(asked(isList)).toBe(2);
  });

  test.each([
    ['an HTTP status', () => server.fail({ path: isWatch, status: 410, reason: 'Expired' })],
    ['an event', () => undefined],
  ])('after 410 as %s', async (_, prepare) => {
    const watching = server.seen('GET', isWatch);
    run();
    await watching;
    prepare();
    const list = server.seen('GET', isList);
    server.endWatches({ status: 410, reason: 'Gone' });
    await list;
  });

  test('after 410 at once, however long the server was not there before', async () => {
    const retry = { base: 1, max: 5 };
    server.fail({ path: isWatch, status: 503, times: 5 });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.fail({ path: isWatch, status: 410, reason: 'Expired', wait: promise });
    run({ retry });
    for (let i = 0; i < 6; i++) await server.seen('GET', isWatch);
    Object.assign(retry, { base: 3_600_000, max: 3_600_000 });
    const list = server.seen('GET', isList);
    resolve();
    await list;
  });

  test('after 410 on every new list only after a pause', async () => {
    server.fail({ path: isWatch, status: 410, reason: 'Expired', times: 1000 });
    run({ retry: { base: 3_600_000, max: 3_600_000 } });
    while (log.at('warn').length === 0) await setImmediate();
    expect(asked(isList)).toBe(2);
  });

  test('after changes while the list is made, with what is there then', async () => {
    for (const one of ['a', 'b']) server.create(WIDGETS, widget(one));
    server.holdBookmarks();
    const { informer, changes, told } = run();
    await told('added b {"size":1}');
    server.delete(WIDGETS, { ...name, name: 'b' });
    server.patch(WIDGETS, name, { spec: { size: 2 } });
    server.create(WIDGETS, widget('c'));
    await told('added c {"size":1}');
    expect(changes.slice(2)).toEqual(['updated a {"size":2}', 'added c {"size":1}']);
    server.bookmark({ 'k8s.io/initial-events-end': 'true' });
    await informer.synced;
    expect(changes.slice(4)).toEqual(['deleted b {"size":1}']);
  });

  test('after failures of all kinds, with pauses in between', async () => {
    server.create(WIDGETS, widget('a'));
    // Each is asked for as a stream and in one piece.
    server.fail({ path: isList, status: 500, times: 4 });
    server.fail({ path: isList, instead: 'reset', times: 2 });
    server.fail({ path: isList, instead: 'hang', times: 2 });
    server.fail({ path: isList, status: 403, reason: 'Forbidden', times: 2 });
    const { informer } = run();
    await informer.synced;
    expect(asked(isList)).toBe(11);
    server.fail({ path: isWatch, status: 500, times: 3 });
    server.endWatches({ status: 500, reason: 'InternalError' });
    await server.seen('GET', isWatch);
    expect(asked(isList)).toBe(11);
    expect(log.at('warn').length).toBeGreaterThan(3);
    expect(log.at('error')).toEqual([]);
  });

  test('after a watch that died without a word', async () => {
    server.create(WIDGETS, widget('a'));
    server.muteWatches();
    const { informer } = run({ watchSeconds: 0.01 });
    await informer.synced;
    for (let i = 0; i < 2; i++) await server.seen('GET', isWatch);
    expect(asked(isList)).toBe(1);
  });

  test.each([
    ['that no server of its kind streams, for good', 422, 2],
    ['whose stream fails, this time', 504, 3],
  ])('with a list in one piece %s', async (_, status, streams) => {
    server.create(WIDGETS, widget('a'));
    const watching = server.seen('GET', isWatch);
    server.fail({ path: isStream, status });
    const { changes, told } = run();
    await watching;
    expect(server.requests.filter(({ path }) => isList.test(path)).map(({ path }) => isStream.test(path))).toEqual([true, false]);
    server.delete(WIDGETS, name);
    await told('deleted a {"size":1}');
    const again = server.seen('GET', isWatch);
    server.endWatches({ status: 410, reason: 'Gone' });
    await again;
    expect(changes).toEqual(['added a {"size":1}', 'deleted a {"size":1}']);
    expect(asked(isStream)).toBe(streams - 1);
  });

  test('with a list in one piece, without what was streamed before the stream broke off', async () => {
    for (const one of ['a', 'b']) server.create(WIDGETS, widget(one));
    server.holdBookmarks();
    const { informer, changes, told } = run();
    await told('added b {"size":1}');
    server.delete(WIDGETS, name);
    server.endWatches('reset');
    await informer.synced;
    expect(changes.slice(2)).toEqual(['deleted a {"size":1}']);
  });

  test('after a handler that throws', async () => {
    const watching = server.seen('GET', isWatch);
    const { informer, told } = run();
    informer.onChange(() => {
      throw new Error('no');
    });
    await watching;
    server.create(WIDGETS, widget('a'));
    server.create(WIDGETS, widget('b'));
    await told('added b {"size":1}');
    expect(asked(isWatch)).toBe(1);
    expect(log.at('error')).toEqual(['a handler of changes failed', 'a handler of changes failed']);
  });
});

test('a server that ends every watch at once is not asked without a pause', async () => {
  const { informer } = run({ retry: { base: 40, max: 40 } });
  await informer.synced;
  const start = performance.now();
  for (let i = 0; i < 5; i++) {
    const watching = server.seen('GET', isWatch);
    server.endWatches('end');
    await watching;
  }
  expect(performance.now() - start).toBeGreaterThan(4 * 20 - 5);
});

test.each([
  ['while it lists', () => server.fail({ path: isList, instead: 'hang' }), isList],
  ['while it watches', () => undefined, isWatch],
])('ends when stopped %s', async (_, prepare, path) => {
  prepare();
  const seen = server.seen('GET', path);
  run({ retry: { base: 10_000, max: 10_000 } });
  await seen;
  stop.abort();
  await running;
});

test('ends when stopped during a pause', async () => {
  server.fail({ path: isList, status: 500, times: 9 });
  const seen = server.seen('GET', isList);
  run({ retry: { base: 60_000, max: 60_000 } });
  await seen;
  stop.abort();
  await running;
});
