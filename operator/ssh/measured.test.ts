import { MeasuredDialer } from './measured.ts';
import { SSHError, type Connection, type ConnectOptions, type Dialer, type Target } from './types.ts';

const setUp = (connect: Dialer['connect']) => {
  const told: string[] = [];
  const dialer = new MeasuredDialer({ connect }, { ended: (outcome) => told.push(outcome), open: (change) => told.push(`open ${change}`) });
  const stop = new AbortController();
  const options: ConnectOptions = { signal: stop.signal, timeout: 1, keepalive: 1, legacyAlgorithms: false };
  return { told, stop, connect: () => dialer.connect({} as Target, options) };
};
const connection = {
  hostKey: { type: 't', fingerprint: 'f', publicKey: 'p' },
  exec: () => Promise.resolve({ exitCode: 0, stdout: 'out', stderr: '' }),
  close: () => Promise.resolve(),
};

test('a connection is open from its success to its close, however often it is closed', async () => {
  const { told, connect } = setUp(() => Promise.resolve(connection));
  const made = await connect();
  expect(told).toEqual(['Connected', 'open 1']);
  expect(made.hostKey).toBe(connection.hostKey);
  expect(await made.exec({} as Parameters<Connection['exec']>[0])).toMatchObject({ stdout: 'out' });
  await made.close();
  await made.close();
  expect(told).toEqual(['Connected', 'open 1', 'open -1']);
});

test.each([
  ['ConnectTimeout', new SSHError('ConnectTimeout', 'h:22', 'no answer')],
  ['Other', new Error('a bug')],
])('a failure is told by its reason: %s', async (outcome, error) => {
  const { told, connect } = setUp(() => Promise.reject(error));
  await expect(connect()).rejects.toBe(error);
  expect(told).toEqual([outcome]);
});

test('one that was given up is told as such', async () => {
  const { told, connect, stop } = setUp(() => Promise.reject(new Error('aborted')));
  stop.abort();
  await expect(connect()).rejects.toThrow('aborted');
  expect(told).toEqual(['Aborted']);
});
