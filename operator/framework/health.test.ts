import { HealthServer, parseAddress } from './health.ts';
import { createMetrics } from './metrics.ts';
import { MemoryLogger } from './testing/log.ts';

const log = new MemoryLogger();
const get = async (address: string | undefined, path: string) => {
  const response = await fetch(`http://${address}${path}`);
  return [response.status, (await response.text()).split('\n')[0]];
};

test('is alive at once and ready when nothing is in the way', async () => {
  const server = new HealthServer({ address: '127.0.0.1:0', log });
  await server.start();
  const [address] = server.addresses;
  expect(await get(address, '/healthz')).toEqual([200, 'ok']);
  expect(await get(address, '/readyz')).toEqual([503, 'starting']);
  server.notReady = () => undefined;
  expect(await get(address, '/readyz?verbose')).toEqual([200, 'ok']);
  expect(await get(address, '/metrics')).toEqual([404, 'not found']);
  await server.stop();
  await expect(get(address, '/healthz')).rejects.toThrow();
});

test('metrics have an address of their own', async () => {
  const { registry } = createMetrics();
  const server = new HealthServer({ address: '127.0.0.1:0', diagnostics: { address: '127.0.0.1:0', registry }, log });
  await server.start();
  const [health, diagnostics] = server.addresses;
  expect(health).not.toBe(diagnostics);
  const response = await fetch(`http://${diagnostics}/metrics`);
  expect([response.status, response.headers.get('content-type')]).toEqual([200, registry.contentType]);
  expect(await response.text()).toContain('process_cpu_user_seconds_total');
  expect((await get(diagnostics, '/other'))[0]).toBe(404);
  await server.stop();
});

test('a port that is taken is named', async () => {
  const first = new HealthServer({ address: '127.0.0.1:0', log });
  await first.start();
  const [address] = first.addresses;
  await expect(new HealthServer({ address: address!, log }).start()).rejects.toThrow(`cannot listen on ${address!}: listen EADDRINUSE`);
  await first.stop();
});

test.each([
  [':9440', { port: 9440 }],
  ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
  ['localhost:80', { host: 'localhost', port: 80 }],
  ['[::1]:80', { host: '::1', port: 80 }],
])('parseAddress(%j)', (address, expected) => expect(parseAddress(address)).toEqual(expected));

test.each(['', '9440', 'localhost', '::1:80', ':99999', ':x'])('parseAddress(%j) is refused', (address) =>
  expect(() => parseAddress(address)).toThrow('is not an address of the form host:port'),
);
