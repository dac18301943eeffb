import { HealthServer } from './health.ts';
import { Endpoint, parseAddress } from './serving.ts';
import { MemoryLogger } from './testing/log.ts';

const log = new MemoryLogger();

test('a port that is taken is named', async () => {
  const first = new HealthServer({ address: '127.0.0.1:0', log });
  await first.start();
  const { address } = first;
  await expect(new HealthServer({ address, log }).start()).rejects.toThrow(`cannot listen on ${address}: listen EADDRINUSE`);
  await first.stop();
});

test('an answer that fails is a 500 that says nothing, and is logged', async () => {
  const answer = () => Promise.reject(new Error('inside'));
  const endpoint = new Endpoint({ address: '127.0.0.1:0', log, answer });
  await endpoint.start();
  const response = await fetch(`http://${endpoint.address}/any`);
  expect([response.status, await response.text()]).toEqual([500, 'internal error']);
  expect(log.at('error')).toEqual(['a request for health or diagnostics failed']);
  await endpoint.stop();
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
