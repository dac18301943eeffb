import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApiClient, servedVersion, type WatchEvent } from './client.ts';
import { createMetrics } from './metrics.ts';
import { FakeApiServer } from './testing/api-server.ts';
import { MemoryLogger } from './testing/log.ts';
import { WIDGETS, widget, type Widget } from './testing/resources.ts';
import { isAlreadyExists, isConflict, isNotFound, type ApiError, type Resource } from './types.ts';

const NODES: Resource = { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false };
const name = { namespace: 'default', name: 'a' };
let server: FakeApiServer;
let client: ApiClient;
const metrics = createMetrics();
const requests = async () => (await metrics.registry.getSingleMetricAsString('rest_client_requests_total')).split('\n');

beforeEach(async () => {
  server = await FakeApiServer.start([WIDGETS, NODES]);
  client = new ApiClient({ access: server.access(), version: 'v1.2.3', log: new MemoryLogger(), metrics, timeout: 300 });
});
afterEach(async () => {
  client.close();
  await server.stop();
});

const rejected = (promise: Promise<unknown>): Promise<ApiError> =>
  promise.then(
    () => {
      throw new Error('did not reject');
    },
    (error: unknown) => error as ApiError,
  );

test('creates, reads and patches', async () => {
  const created = await client.create<Widget>(WIDGETS, widget('a'));
  expect(created).toMatchObject({ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { generation: 1 }, spec: { size: 1 } });
  expect(await client.get(WIDGETS, name)).toEqual(created);
  const patched = await client.patch<Widget>(WIDGETS, name, { spec: { size: null, color: 'red' }, status: { phase: 'ignored' } });
  expect(patched).toMatchObject({ spec: { color: 'red' }, metadata: { generation: 2 } });
  expect(patched.status).toBeUndefined();
  expect(await client.patch<Widget>(WIDGETS, name, { status: { phase: 'Ready' } }, { subresource: 'status' })).toMatchObject({
    spec: { color: 'red' },
    status: { phase: 'Ready' },
    metadata: { generation: 2 },
  });
  server.delete(WIDGETS, name);
  expect(isNotFound(await rejected(client.get(WIDGETS, name)))).toBe(true);
});

test('says who it is and how it logs in', async () => {
  await rejected(client.get(WIDGETS, name));
  expect(server.requests[0]!.headers).toMatchObject({
    authorization: 'Bearer test',
    'user-agent': expect.stringMatching(/^cluster-api-provider-remote\/v1\.2\.3 \(linux\/\w+\) node\/24/) as string,
  });
});

test('escapes names and leaves out the namespace of kinds that have none', async () => {
  await rejected(client.get(NODES, { name: 'a b/c' }));
  expect(server.requests[0]!.path).toBe('/api/v1/nodes/a%20b%2Fc');
});

test.each([
  ['an empty name', () => client.get(WIDGETS, { namespace: 'default', name: '' }), 'Widget: the name is empty'],
  ['no namespace', () => client.get(WIDGETS, { name: 'a' }), 'Widget a: its namespace is missing'],
])('%s asks nothing', (_, call, message) => {
  expect(call).toThrow(message);
  expect(server.requests).toEqual([]);
});

describe('errors', () => {
  test('a Status becomes an ApiError that says what was asked', async () => {
    const error = await rejected(client.get(WIDGETS, name));
    expect(error).toMatchObject({ name: 'ApiError', status: 404, reason: 'NotFound', retryAfter: undefined });
    expect(error.message).toBe('GET /apis/example.com/v1/namespaces/default/widgets/a: 404: widgets "a" not found');
  });

  test('a guarded patch of an object that changed is a conflict, a second create is not', async () => {
    const { metadata } = await client.create<Widget>(WIDGETS, widget('a'));
    await client.patch(WIDGETS, name, { spec: { size: 2 } });
    const guarded = { metadata: { resourceVersion: metadata.resourceVersion }, spec: { size: 3 } };
    expect(isConflict(await rejected(client.patch(WIDGETS, name, guarded)))).toBe(true);
    const again = await rejected(client.create(WIDGETS, widget('a')));
    expect([isAlreadyExists(again), isConflict(again)]).toEqual([true, false]);
  });

  test('nobody there', async () => {
    await server.stop();
    const error = await rejected(client.get(WIDGETS, name));
    expect(error).toMatchObject({ status: 0, reason: 'ECONNREFUSED' });
    expect(error.message).toMatch(/^GET .*widgets\/a: no answer from the API server at 127\.0\.0\.1:\d+: connect ECONNREFUSED/);
    server = await FakeApiServer.start([]);
  });

  test('no answer in time', async () => {
    server.fail({ instead: 'hang' });
    expect(await rejected(client.get(WIDGETS, name))).toMatchObject({ status: 0, reason: 'Timeout' });
    expect(await requests()).toContain('rest_client_requests_total{method="GET",code="<error>"} 2');
  });

  test('a signal ends a request that waits, with its reason', async () => {
    server.fail({ instead: 'hang' });
    const stop = new AbortController();
    const seen = server.seen('GET', /widgets/);
    const call = rejected(client.get(WIDGETS, name, stop.signal));
    await seen;
    const reason = new Error('enough');
    stop.abort(reason);
    expect(await call).toBe(reason);
    expect(await rejected(client.get(WIDGETS, name, stop.signal))).toBe(reason);
  });
});

describe('Retry-After', () => {
  test.each([429, 503])('%d with it is repeated, also for a write', async (status) => {
    server.fail({ status, retryAfter: 0, times: 5 });
    await client.create(WIDGETS, widget('a'));
    expect(server.requests).toHaveLength(6);
  });

  test('a bounded number of times; then the caller hears how long to wait', async () => {
    server.fail({ status: 429, reason: 'TooManyRequests', retryAfter: 0, times: 100 });
    expect(await rejected(client.get(WIDGETS, name))).toMatchObject({ status: 429, reason: 'TooManyRequests', retryAfter: 0 });
    expect(server.requests).toHaveLength(6);
  });

  test('too long a wait is left to the caller', async () => {
    server.fail({ status: 503, retryAfter: 31 });
    expect(await rejected(client.get(WIDGETS, name))).toMatchObject({ status: 503, retryAfter: 31_000 });
    expect(server.requests).toHaveLength(1);
  });

  test('the signal ends the wait', async () => {
    server.fail({ status: 429, retryAfter: 20 });
    const stop = new AbortController();
    const call = rejected(client.get(WIDGETS, name, stop.signal));
    await server.seen('GET', /widgets/);
    setImmediate(() => stop.abort(new Error('enough')));
    expect((await call).message).toBe('enough');
  });

  test('the wait leaves nothing on a signal that outlives it', async () => {
    server.create(WIDGETS, widget('a'));
    const { signal } = new AbortController();
    server.fail({ status: 429, retryAfter: 0, times: 5 });
    await client.get(WIDGETS, name, signal);
    expect(server.requests).toHaveLength(6);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test.each([429, 500, 503])('%d without it is not repeated', async (status) => {
    server.fail({ status });
    expect(await rejected(client.get(WIDGETS, name))).toMatchObject({ status, reason: `HTTP${status}`, retryAfter: undefined });
    expect(server.requests).toHaveLength(1);
  });
});

describe('connections', () => {
  test('are kept and reused', async () => {
    server.create(WIDGETS, widget('a'));
    await client.get(WIDGETS, name);
    const first = server.connections;
    for (let i = 0; i < 5; i++) await client.get(WIDGETS, name);
    expect(server.connections).toBe(first);
  });

  test('a dead kept-alive one is replaced for a read, though others are dead as well', async () => {
    server.create(WIDGETS, widget('a'));
    await Promise.all([client.get(WIDGETS, name), client.get(WIDGETS, name), client.get(WIDGETS, name)]);
    expect(server.connections).toBe(3);
    server.fail({ instead: 'reset' });
    expect(await client.get(WIDGETS, name)).toMatchObject({ metadata: name });
    expect(server.connections).toBe(4);
  });

  test('a write is not repeated: it may have been carried out', async () => {
    await client.create(WIDGETS, widget('a'));
    server.fail({ method: 'PATCH', instead: 'reset-after' });
    expect(await rejected(client.patch(WIDGETS, name, { spec: { size: 2 } }))).toMatchObject({ status: 0, reason: 'ECONNRESET' });
    expect(server.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(1);
    expect(server.get<Widget>(WIDGETS, name).spec).toEqual({ size: 2 });
  });

  test('a new connection that is cut is an error at once', async () => {
    server.fail({ instead: 'reset' });
    expect(await rejected(client.get(WIDGETS, name))).toMatchObject({ status: 0, reason: 'ECONNRESET' });
    expect(server.requests).toHaveLength(1);
  });
});

test('objects that writes return are handed to the sinks, others are not', async () => {
  const seen: string[] = [];
  client.onWritten((resource, object) => seen.push(`${resource.plural} ${object.metadata.resourceVersion}`));
  const created = await client.create<Widget>(WIDGETS, widget('a'));
  await client.get(WIDGETS, name);
  const patched = await client.patch<Widget>(WIDGETS, name, { spec: { size: 2 } });
  expect(seen).toEqual([`widgets ${created.metadata.resourceVersion}`, `widgets ${patched.metadata.resourceVersion}`]);
});

describe.each(['list', 'initialEvents'] as const)('%s', (how) => {
  const all = async (): Promise<string[]> => {
    const events: string[] = [];
    for await (const { type, object } of client[how]<Widget>(WIDGETS, { namespace: 'default' })) {
      const { name, resourceVersion } = object.metadata;
      events.push(`${type} ${object.kind} ${object.apiVersion} ${type === 'BOOKMARK' ? resourceVersion : name}`);
    }
    return events;
  };

  test('gives what is there, and at its end its version', async () => {
    for (const one of ['a', 'b']) server.create(WIDGETS, widget(one));
    server.create(WIDGETS, widget('c', {}, { namespace: 'other' }));
    expect(await all()).toEqual([
      ...['a', 'b'].map((one) => `ADDED Widget example.com/v1 ${one}`),
      `BOOKMARK Widget example.com/v1 ${server.storage.revision}`,
    ]);
    await server.watchesClosed();
    const query = 'watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
    expect(server.requests.map(({ path }) => path)).toEqual([
      `/apis/example.com/v1/namespaces/default/widgets${how === 'list' ? '' : `?${query}`}`,
    ]);
  });
});

describe('initial events', () => {
  const all = async (): Promise<void> => {
    for await (const event of client.initialEvents<Widget>(WIDGETS, {})) expect(event.type).toBe('ADDED');
  };

  test.each([
    ['end before their end', 'end', { reason: 'ShortList' }],
    ['break', 'reset', { status: 0 }],
  ] as const)('that %s are an error', async (_, how, error) => {
    server.holdBookmarks();
    const list = rejected(all());
    await server.seen('GET', /sendInitialEvents/);
    server.endWatches(how);
    expect(await list).toMatchObject({ name: 'ApiError', ...error });
  });

  test('that do not come for longer than a request may take are an error', async () => {
    server.holdBookmarks();
    expect(await rejected(all())).toMatchObject({ status: 0, reason: 'Timeout' });
  });
});

describe('watch', () => {
  const collect = async (watch: AsyncGenerator<WatchEvent<Widget>>, count: number) => {
    const events: string[] = [];
    for await (const { type, object } of watch) {
      events.push(`${type} ${object.metadata.name}`);
      if (events.length === count) break;
    }
    return events;
  };
  const options = { resourceVersion: '', timeoutSeconds: 60 };

  test('gives events as they come, with text cut anywhere', async () => {
    const resourceVersion = String(server.storage.revision);
    const events = collect(client.watch<Widget>(WIDGETS, { ...options, resourceVersion }), 4);
    await server.seen('GET', /watch=true/);
    server.create(WIDGETS, widget('ä'.repeat(60_000)));
    server.create(WIDGETS, widget('b'));
    server.patch(WIDGETS, { namespace: 'default', name: 'b' }, { spec: { size: 2 } });
    server.delete(WIDGETS, { namespace: 'default', name: 'b' });
    expect(await events).toEqual([`ADDED ${'ä'.repeat(60_000)}`, 'ADDED b', 'MODIFIED b', 'DELETED b']);
  });

  test('ends with the server’s timeout', async () => {
    const watch = collect(client.watch<Widget>(WIDGETS, options), 1);
    await server.seen('GET', /timeoutSeconds=60/);
    server.endWatches('end');
    expect(await watch).toEqual([]);
  });

  test('a broken connection is an error', async () => {
    const watch = rejected(collect(client.watch<Widget>(WIDGETS, options), 1));
    await server.seen('GET', /watch=true/);
    server.endWatches('reset');
    expect(await watch).toMatchObject({ name: 'ApiError', status: 0 });
  });

  test('silence beyond its timeout is an error', async () => {
    server.muteWatches();
    const watch = rejected(collect(client.watch<Widget>(WIDGETS, { ...options, timeoutSeconds: 0.1 }), 1));
    expect(await watch).toMatchObject({ status: 0, reason: 'Timeout' });
  });

  test('the signal ends it with its reason, and closes the connection', async () => {
    const stop = new AbortController();
    const watch = rejected(collect(client.watch<Widget>(WIDGETS, options, stop.signal), 1));
    await server.seen('GET', /watch=true/);
    stop.abort(new Error('enough'));
    expect((await watch).message).toBe('enough');
  });

  test('leaving the loop closes the connection', async () => {
    server.create(WIDGETS, widget('a'));
    await collect(client.watch<Widget>(WIDGETS, options), 1);
    await server.watchesClosed();
    expect(server.watchCount).toBe(0);
  });
});

describe('servedVersion', () => {
  test('takes the first of the preferred ones that is served', async () => {
    server.storage.define({ ...WIDGETS, version: 'v2' }, true);
    expect(await servedVersion(client, 'example.com', ['v3', 'v2', 'v1'])).toBe('v2');
    expect(await servedVersion(client, 'example.com', ['v1', 'v2'])).toBe('v1');
  });

  test('says what is wrong otherwise', async () => {
    expect((await rejected(servedVersion(client, 'example.com', ['v8', 'v9']))).message).toBe(
      'of the API group example.com the API server serves v1, but one of v8, v9 is needed',
    );
    expect((await rejected(servedVersion(client, 'nowhere.com', ['v1']))).message).toMatch(/does not know the API group nowhere\.com/);
    server.fail({ status: 500 });
    expect(await rejected(servedVersion(client, 'example.com', ['v1']))).toMatchObject({ status: 500 });
  });
});

describe('over TLS', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'client-test-'));
  const make = (name: string) => {
    const [key, cert] = [path.join(folder, `${name}.key`), path.join(folder, `${name}.crt`)];
    const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1', '-nodes'];
    const type = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    execFileSync('openssl', ['req', '-x509', ...type, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  };
  const [serving, alice, bob] = [make('server'), make('alice'), make('bob')];
  afterAll(() => rmSync(folder, { recursive: true }));

  test('checks the server, presents the client certificate, and uses a rotated one from the next request on', async () => {
    const tls = await FakeApiServer.start([WIDGETS], { tls: { ...serving, ca: [alice.cert, bob.cert], requestCert: true } });
    try {
      tls.create(WIDGETS, widget('a'));
      let credentials = { headers: {}, ca: serving.cert, ...alice };
      const access = { server: tls.url, credentials: () => Promise.resolve(credentials) };
      const secure = new ApiClient({ access, version: 'test', log: new MemoryLogger() });
      await secure.get(WIDGETS, name);
      await secure.get(WIDGETS, name);
      credentials = { headers: {}, ca: serving.cert, ...bob };
      const closed = tls.connectionClosed();
      await secure.get(WIDGETS, name);
      await closed;
      expect(tls.requests.map((request) => request.clientName)).toEqual(['alice', 'alice', 'bob']);
      expect(tls.connections).toBe(2);
      credentials = { headers: {}, ca: alice.cert, ...bob };
      expect(await rejected(secure.get(WIDGETS, name))).toMatchObject({ status: 0, reason: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
      secure.close();
    } finally {
      await tls.stop();
    }
  });
});

test('what is not declared is not asked for', async () => {
  const isDeclared = (verb: string, { plural }: Resource, subresource?: string): boolean =>
    verb === 'patch' && plural === 'secrets' && subresource === undefined;
  const bound = new ApiClient({ access: server.access(), version: 'test', log: new MemoryLogger(), isDeclared });
  const secrets: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };
  const name = { namespace: 'default', name: 'none' };
  const refused = (what: string) => ({ message: `the right to ${what}. is not declared: this is a bug` });
  await expect(bound.patch(secrets, name, {})).rejects.toMatchObject({ status: 404 });
  await expect(bound.patch(secrets, name, {}, { subresource: 'status' })).rejects.toMatchObject(refused('patch secrets/status'));
  await expect(bound.get(secrets, name)).rejects.toMatchObject(refused('get secrets'));
  await expect(bound.create(secrets, {})).rejects.toMatchObject(refused('create secrets'));
  await expect(bound.list(secrets, {}).next()).rejects.toMatchObject(refused('list secrets'));
  await expect(bound.watch(secrets, { resourceVersion: '0', timeoutSeconds: 1 }).next()).rejects.toMatchObject(refused('watch secrets'));
  bound.close();
});
