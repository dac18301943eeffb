import { EventEmitter } from 'node:events';
import type { Client } from 'ssh2';
import { Shells } from './shells.ts';
import { Connections, run } from './testing/connections.ts';
import { resources, settled } from './testing/fake-servers.ts';
import { EXEC_LINES } from './types.ts';

const STARTED = /Starting session: command/g;
/** What ssh2 gives where sshd opens no channel. */
const REFUSED = Object.assign(new Error('(SSH) Channel open failure: open failed'), { reason: 'open failed' });
const connections = new Connections();
afterAll(() => connections.end());

test('the shell of an exec that follows is there before it, and is its own', async () => {
  const server = await connections.start({ accounts: [{ name: 'tina', sudo: 'nopasswd' }] });
  const on = await connections.connect(server.target({ user: 'tina' }));
  expect(await run(on, 'echo one', { another: true })).toMatchObject({ stdout: 'one\n' });
  await server.waitForLog(STARTED, 2);
  // Of another right it is no use.
  expect(await run(on, 'id -u', { privilege: 'sudo' })).toMatchObject({ stdout: '0\n' });
  expect(await run(on, 'echo two; exit 3')).toMatchObject({ stdout: 'two\n', exitCode: 3 });
  expect(server.log.match(STARTED)).toHaveLength(3);
  expect(await run(on, 'echo three')).toMatchObject({ stdout: 'three\n' });
  expect(server.log.match(STARTED)).toHaveLength(4);
});

test('where sshd opens one at a time, each waits for its own', async () => {
  const server = await connections.start({ config: ['MaxSessions 1'] });
  const on = await connections.connect(server.target());
  for (const word of ['one', 'two', 'three'])
    expect(await run(on, `echo ${word}`, { another: true })).toMatchObject({ stdout: `${word}\n` });
});

test('one that sshd refuses while it tidies the one before is asked again', async () => {
  const client = new FakeClient();
  const opened = client.open();
  client.asked[0]?.(REFUSED);
  const channel = new EventEmitter();
  client.asked[1]?.(undefined, channel);
  expect(await opened).toBe(channel);
});

test('in the place of one that was refused the next is taken, which has the only room', async () => {
  const client = new FakeClient();
  const opened = client.open(true);
  client.asked[0]?.(REFUSED);
  const channel = new EventEmitter();
  client.asked[1]?.(undefined, channel);
  expect(await opened).toBe(channel);
  expect(client.asked).toHaveLength(2);
});

test('what is refused twice is refused, and another error is not asked again', async () => {
  const client = new FakeClient();
  const refused = client.open();
  for (const again of [0, 1]) client.asked[again]?.(REFUSED);
  expect(await refused).toBe(REFUSED);
  const lost = client.open();
  const error = new Error('No response from server');
  client.asked[2]?.(error);
  expect(await lost).toBe(error);
  expect(client.asked).toHaveLength(3);
});

test('one that nobody takes ends with the connection', async () => {
  const before = resources();
  const server = await connections.start();
  const on = await connections.connect(server.target());
  await run(on, 'true', { another: true });
  await server.waitForLog(STARTED, 2);
  await on.close();
  await server.idle();
  await server.stop();
  expect(await settled(before)).toEqual({});
});

/** Opens what it is told to, when it is told to. */
class FakeClient {
  readonly asked: ((error: Error | undefined, channel?: EventEmitter) => void)[] = [];
  readonly #shells = new Shells({
    exec: (line: string, opened: FakeClient['asked'][number]) => {
      expect(line).toBe(EXEC_LINES.plain);
      this.asked.push(opened);
    },
  } as unknown as Client);

  /** What an exec gets. */
  open(another = false): Promise<unknown> {
    return new Promise((resolve) => this.#shells.open('plain', another, (error, channel) => resolve(error ?? channel)));
  }
}

test('one that is still to come is waited for', async () => {
  const client = new FakeClient();
  void client.open(true);
  const opened = client.open();
  const channel = new EventEmitter();
  client.asked[1]?.(undefined, channel);
  expect(await opened).toBe(channel);
  expect(client.asked).toHaveLength(2);
});

test.each([
  ['was refused', (client: FakeClient) => client.asked[1]?.(new Error('no'))],
  [
    'has ended',
    (client: FakeClient) => {
      const channel = new EventEmitter();
      client.asked[1]?.(undefined, channel);
      channel.emit('exit', 1);
    },
  ],
])('in the place of one that %s another is opened', async (_, happen) => {
  const client = new FakeClient();
  void client.open(true);
  happen(client);
  const opened = client.open();
  const channel = new EventEmitter();
  await new Promise(setImmediate);
  client.asked[2]?.(undefined, channel);
  expect(await opened).toBe(channel);
});

test('what ssh2 throws is the error of the exec', async () => {
  const mistake = new Error('Not connected');
  const throwing = () => {
    throw mistake;
  };
  const shells = new Shells({ exec: throwing } as unknown as Client);
  for (const another of [true, false]) expect(await new Promise((resolve) => shells.open('plain', another, resolve))).toBe(mistake);
});
