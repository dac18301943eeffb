import type { KubernetesObject } from '../../apis/meta.ts';
import { isDeclared } from '../../apis/rights.ts';
import { ApiClient } from './client.ts';
import { EventSink } from './events.ts';
import { type Fault, FakeApiServer } from './testing/api-server.ts';
import { MemoryLogger } from './testing/log.ts';
import { EVENTS, WIDGETS, widget } from './testing/resources.ts';

interface Event extends KubernetesObject {
  note: string;
  reason: string;
  series?: { count: number; lastObservedTime: string };
}
let server: FakeApiServer;
let client: ApiClient;
let log: MemoryLogger;
let sink: EventSink;
let object: KubernetesObject;

beforeEach(async () => {
  server = await FakeApiServer.start([WIDGETS, EVENTS], { withoutStatus: ['events'] });
  log = new MemoryLogger();
  client = new ApiClient({ access: server.access(), version: 'test', log, isDeclared });
  sink = new EventSink({ client, log, instance: 'manager-0' });
  object = server.create(WIDGETS, widget('a'));
});
afterEach(async () => {
  jest.useRealTimers();
  await sink.drain();
  client.close();
  await server.stop();
});
const events = () => server.list<Event>(EVENTS);

test('writes an Event that the API server accepts', async () => {
  sink.event(object, 'Warning', 'BootstrapFailed', 'Bootstrap', 'it failed');
  await sink.drain();
  const { name, namespace, uid, resourceVersion } = object.metadata;
  expect(events()).toEqual([
    expect.objectContaining({
      metadata: expect.objectContaining({ namespace: 'default', name: expect.stringMatching(/^a\.[0-9a-f]{16}$/) as string }) as object,
      eventTime: expect.stringMatching(/\.\d{6}Z$/) as string,
      type: 'Warning',
      reason: 'BootstrapFailed',
      action: 'Bootstrap',
      note: 'it failed',
      regarding: { apiVersion: 'example.com/v1', kind: 'Widget', name, namespace, uid, resourceVersion },
      reportingController: 'cluster-api-provider-remote',
      reportingInstance: 'manager-0',
    }),
  ]);
  expect(events()[0]!.series).toBeUndefined();
});

test('of an object without a namespace it goes to default, of a long name it has a name that fits', async () => {
  const { namespace: _namespace, ...metadata } = { ...object.metadata, name: `${'a'.repeat(199)}.${'b'.repeat(53)}` };
  expect(_namespace).toBe('default');
  sink.event({ ...object, metadata }, 'Normal', 'Reason', 'Act', 'note');
  await sink.drain();
  expect(events()[0]!.metadata.namespace).toBe('default');
  expect(events()[0]!.metadata.name).toMatch(/^a{199}\.[0-9a-f]{16}$/);
});

test.each([
  ['x'.repeat(1024), 1024, 'x'],
  ['x'.repeat(1025), 1024, '…'],
  ['ä'.repeat(600), 1023, '…'],
  ['😀'.repeat(300), 1023, '…'],
])('a note has at most 1,024 bytes, and whole characters (%#)', async (note, bytes, end) => {
  sink.event(object, 'Normal', 'Reason', 'Act', note);
  await sink.drain();
  const written = events()[0]!.note;
  expect(Buffer.byteLength(written)).toBe(bytes);
  expect(written.endsWith(end)).toBe(true);
  expect(note.startsWith(written.replace('…', ''))).toBe(true);
});

test('repeats become a series: the first at once, further ones together', async () => {
  for (let i = 0; i < 10; i++) sink.event(object, 'Normal', 'Waiting', 'Reserve', 'no host');
  sink.event(object, 'Normal', 'Waiting', 'Reserve', 'another note');
  await sink.drain();
  expect(
    events()
      .map(({ note, series }) => [note, series?.count])
      .sort(),
  ).toEqual([
    ['another note', undefined],
    ['no host', 10],
  ]);
  expect(server.requests.filter(({ method }) => method === 'PATCH').map(({ body }) => (body as Event).series!.count)).toEqual([2, 10]);
});

test('a repeat after six quiet minutes is a new Event', async () => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'setTimeout', 'clearTimeout'] });
  sink.event(object, 'Normal', 'Waiting', 'Reserve', 'no host');
  jest.setSystemTime(Date.now() + 5 * 60_000);
  sink.event(object, 'Normal', 'Waiting', 'Reserve', 'no host');
  jest.setSystemTime(Date.now() + 7 * 60_000);
  sink.event(object, 'Normal', 'Waiting', 'Reserve', 'no host');
  await sink.drain();
  expect(
    events()
      .map(({ series }) => series?.count)
      .sort(),
  ).toEqual([2, undefined]);
});

test('a loop cannot flood: 25 writes for an object, other objects are not concerned', async () => {
  const other = server.create<KubernetesObject>(WIDGETS, widget('b'));
  for (let i = 0; i < 1000; i++) sink.event(object, 'Normal', 'Waiting', 'Reserve', `attempt ${i}`);
  sink.event(other, 'Normal', 'Waiting', 'Reserve', 'no host');
  await sink.drain();
  expect(events()).toHaveLength(26);
});

test('a failure is logged and the next Event is written', async () => {
  server.fail({ method: 'POST', status: 403, reason: 'Forbidden' });
  sink.event(object, 'Normal', 'First', 'Act', 'note');
  sink.event(object, 'Normal', 'Second', 'Act', 'note');
  await sink.drain();
  expect(events().map(({ reason }) => reason)).toEqual(['Second']);
  expect(log.at('warn')).toEqual(['an event could not be written']);
});

test.each<[string, Fault, string[]]>([
  ['a connection that is cut before the server took it', { instead: 'reset' }, ['First', 'First', 'Second']],
  ['a connection that is cut after it', { instead: 'reset-after' }, ['First', 'First', 'Second']],
  ['a server that is short of everything', { status: 500, times: 2 }, ['First', 'First', 'First', 'Second']],
  ['a server that asks to wait, and does not say how long', { status: 429 }, ['First', 'First', 'Second']],
])('%s: it is written again, once, and in its turn', async (_, fault, writes) => {
  server.fail({ method: 'POST', ...fault });
  sink.event(object, 'Normal', 'First', 'Act', 'note');
  sink.event(object, 'Normal', 'Second', 'Act', 'note');
  await sink.drain();
  const asked = server.requests.filter(({ method }) => method === 'POST').map(({ body }) => (body as Event).reason);
  expect(asked).toEqual(writes);
  expect(
    events()
      .map(({ reason }) => reason)
      .sort(),
  ).toEqual(['First', 'Second']);
  expect(log.at('warn')).toEqual([]);
});

test('what does not pass is given up', async () => {
  server.fail({ method: 'POST', times: 12, status: 503 });
  sink.event(object, 'Normal', 'First', 'Act', 'note');
  sink.event(object, 'Normal', 'Second', 'Act', 'note');
  await sink.drain();
  expect(events().map(({ reason }) => reason)).toEqual(['Second']);
  expect(log.at('warn')).toEqual(['an event could not be written']);
});

test('drain gives up in time, and says so', async () => {
  server.fail({ method: 'POST', instead: 'hang' });
  sink.event(object, 'Normal', 'First', 'Act', 'note');
  sink.event(object, 'Normal', 'Second', 'Act', 'note');
  await sink.drain(20);
  expect(log.at('warn')).toEqual(['events were not written in time']);
});

test('a write that takes its time holds up those of its own object alone', async () => {
  const other = server.create<KubernetesObject>(WIDGETS, widget('b'));
  server.fail({ method: 'POST', instead: 'hang' });
  sink.event(object, 'Normal', 'First', 'Act', 'note');
  sink.event(object, 'Normal', 'Second', 'Act', 'note');
  sink.event(other, 'Normal', 'Third', 'Act', 'note');
  await sink.drain(200);
  expect(events().map(({ reason }) => reason)).toEqual(['Third']);
});

test('so many are written at a time that an API server has room', async () => {
  const objects = ['b', 'c', 'd', 'e', 'f', 'g'].map((name) => server.create<KubernetesObject>(WIDGETS, widget(name)));
  server.fail({ method: 'POST', instead: 'hang', times: Infinity });
  for (const one of objects) sink.event(one, 'Normal', 'Reason', 'Act', 'note');
  await sink.drain(200);
  expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(4);
});

test('beyond a burst they are written at a pace, until it is time to end', async () => {
  const objects = ['b', 'c', 'd'].map((name) => server.create<KubernetesObject>(WIDGETS, widget(name)));
  for (const one of objects) for (let i = 0; i < 20; i++) sink.event(one, 'Normal', 'Reason', 'Act', `note ${i}`);
  while (events().length < 30) await new Promise((resolve) => setImmediate(resolve));
  // The next one is due in 100 ms; requests take a fraction of one.
  for (let i = 0; i < 10; i++) await client.getPath('/apis/example.com/v1/namespaces/default/widgets/b');
  expect(events().length).toBeLessThan(60);
  await sink.drain();
  expect(events()).toHaveLength(60);
});
