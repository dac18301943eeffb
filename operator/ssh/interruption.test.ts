/** What goes wrong or is called off between connect() and a ready connection, and what is left then: nothing. */
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import ssh2 from 'ssh2';
import { SSHDialer } from './dialer.ts';
import { FakeServer, blackhole, resources, settled } from './testing/fake-servers.ts';
import { TestSSHD } from './testing/sshd.ts';
import { SSHError } from './types.ts';
import type { ConnectOptions, SSHErrorReason, Target } from './types.ts';

jest.setTimeout(30_000);

const dialer = new SSHDialer();
const options = (signal: AbortSignal, timeout = 10_000): ConnectOptions => ({
  signal,
  timeout,
  keepalive: 10_000,
  legacyAlgorithms: false,
});
let sshd: TestSSHD;
let hole: Awaited<ReturnType<typeof blackhole>>;
beforeAll(async () => {
  sshd = await TestSSHD.start();
  hole = await blackhole();
});
afterAll(async () => {
  await sshd.stop();
  await hole.stop();
});

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => {
      throw new Error('it succeeded');
    },
    (error: unknown) => error,
  );
const sshFailure = async (target: Target, timeout?: number): Promise<SSHError> => {
  const error = await failure(dialer.connect(target, options(new AbortController().signal, timeout)));
  if (error instanceof SSHError) return error;
  throw error as Error;
};

/** A server that goes along up to some point and then says nothing more. */
type Stall = { name: string; target: () => Promise<{ target: Target; stop: () => Promise<void>; reached: Promise<unknown> }> };

const silent = (words: string) => async (bastions: Target['bastions']) => {
  let reached: () => void;
  const arrival = new Promise<void>((resolve) => (reached = resolve));
  const server = await FakeServer.start((socket) => {
    socket.write(words);
    socket.resume();
    reached();
  });
  return {
    target: sshd.target({ port: server.port, bastions }),
    reached: arrival,
    stop: async () => {
      await server.abandoned();
      await server.stop();
    },
  };
};

const nothing = (): Promise<void> => Promise.resolve();

const STALLS: Stall[] = [
  {
    name: 'the TCP connection',
    target: () => Promise.resolve({ target: sshd.target({ port: hole.port }), reached: wait(50), stop: nothing }),
  },
  { name: 'the banner', target: async () => silent('')([]) },
  { name: 'the key exchange', target: async () => silent('SSH-2.0-Silent\r\n')([]) },
  { name: 'the authentication', target: stallInAuthentication },
  {
    name: 'the forwarding',
    target: () => Promise.resolve({ target: sshd.target({ port: hole.port, bastions: [sshd.hop()] }), reached: wait(300), stop: nothing }),
  },
  { name: 'the banner behind a bastion', target: async () => silent('')([sshd.hop()]) },
  { name: 'the key exchange behind two bastions', target: async () => silent('SSH-2.0-Silent\r\n')([sshd.hop(), sshd.hop()]) },
];

async function stallInAuthentication(): ReturnType<Stall['target']> {
  let reached: () => void;
  const arrival = new Promise<void>((resolve) => (reached = resolve));
  const open = new Set<Promise<unknown>>();
  const server = new ssh2.Server({ hostKeys: [sshd.hostKeys[0]!.privateKey] }, (client) => {
    client.on('error', () => undefined);
    client.on('authentication', () => reached());
    open.add(new Promise<void>((resolve) => client.on('close', () => resolve())));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    target: sshd.target({ port: (server.address() as AddressInfo).port }),
    reached: arrival,
    stop: async () => {
      await Promise.all(open);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe.each(STALLS)('during $name', ({ target: prepare }) => {
  test('an abort rejects at once with its reason and leaves nothing', async () => {
    const before = resources();
    const { target, stop, reached } = await prepare();
    const controller = new AbortController();
    const connecting = failure(dialer.connect(target, options(controller.signal)));
    await reached;
    const reason = new Error('called off');
    const started = performance.now();
    controller.abort(reason);
    expect(await connecting).toBe(reason);
    expect(performance.now() - started).toBeLessThan(2000);
    await stop();
    await sshd.idle();
    expect(await settled(before)).toEqual({});
  });

  test('the time limit rejects with ConnectTimeout at that hop and leaves nothing', async () => {
    const before = resources();
    const { target, stop } = await prepare();
    const error = await sshFailure(target, 2500);
    expect(error).toMatchObject({ reason: 'ConnectTimeout', hop: `127.0.0.1:${target.port}` });
    expect(error.message).toMatch(/2\.5 s/);
    await stop();
    await sshd.idle();
    expect(await settled(before)).toEqual({});
  });
});

test('a signal that is aborted already opens nothing', async () => {
  const log = sshd.log;
  const reason = new Error('too late');
  expect(await failure(dialer.connect(sshd.target(), options(AbortSignal.abort(reason))))).toBe(reason);
  expect(sshd.log).toBe(log);
});

test('an abort at any moment either connects or leaves nothing', async () => {
  const before = resources();
  const target = sshd.target({ bastions: [sshd.hop()] });
  for (let delay = 0; delay < 200; delay += 12) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(new Error('called off')), delay);
    const connection = await dialer.connect(target, options(controller.signal)).catch((error: unknown) => {
      expect(error).toMatchObject({ message: 'called off' });
    });
    clearTimeout(timer);
    await connection?.close();
  }
  await sshd.idle();
  expect(await settled(before)).toEqual({});
});

describe('servers that are none', () => {
  const HTTP = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n';

  test.each<[string, (socket: Socket) => void, SSHErrorReason, RegExp]>([
    ['HTTP', (socket) => void socket.once('data', () => socket.end(HTTP)), 'HandshakeFailed', /does not speak SSH.*HTTP\/1\.1 400/],
    ['SMTP, which greets and waits', (socket) => void socket.write('220 mail ESMTP\r\n'), 'HandshakeFailed', /220 mail ESMTP/],
    ['one that closes at once', (socket) => void socket.end(), 'ConnectionLost', /before SSH began.*MaxStartups/],
    ['one that resets at once', (socket) => void socket.resetAndDestroy(), 'ConnectionLost', /ECONNRESET/],
    ['one that closes after its banner', (socket) => void socket.end('SSH-2.0-x\r\n'), 'ConnectionLost', /key exchange/],
    ['one that resets after the client spoke', (socket) => void socket.once('data', () => socket.resetAndDestroy()), 'ConnectionLost', /./],
    ['SSH 1', (socket) => void socket.end('SSH-1.5-old\r\n'), 'HandshakeFailed', /SSH-1\.5-old/],
    [
      'rubbish after the banner',
      (socket) => void socket.write(`SSH-2.0-x\r\n${'\xff'.repeat(4000)}`, 'latin1'),
      'HandshakeFailed',
      /key exchange/,
    ],
  ])('%s', async (_, serve, reason, words) => {
    const before = resources();
    const server = await FakeServer.start(serve);
    const error = await sshFailure(sshd.target({ port: server.port }), 1000);
    expect(error).toMatchObject({ reason, hop: `127.0.0.1:${server.port}` });
    expect(error.message).toMatch(words);
    expect(error.message).toContain(`127.0.0.1:${server.port}`);
    await server.abandoned();
    await server.stop();
    expect(await settled(before)).toEqual({});
  });

  test('a closed port', async () => {
    const server = await FakeServer.start(() => undefined);
    await server.stop();
    expect(await sshFailure(sshd.target({ port: server.port }))).toMatchObject({
      reason: 'ConnectionRefused',
      hop: `127.0.0.1:${server.port}`,
    });
  });

  test('sshd with too many connections before authentication', async () => {
    const busy = await TestSSHD.start({ config: ['MaxStartups 1'] });
    const socket = connect(busy.port, '127.0.0.1');
    await busy.waitForLog(/Connection from/);
    const error = await sshFailure(busy.target());
    expect(error).toMatchObject({ reason: 'ConnectionLost' });
    expect(error.message).toMatch(/MaxStartups/);
    socket.destroy();
    await busy.stop();
  });
});
