import { HealthServer } from './health.ts';
import { MemoryLogger } from './testing/log.ts';

const log = new MemoryLogger();
const get = async (address: string, path: string) => {
  const response = await fetch(`http://${address}${path}`);
  return [response.status, (await response.text()).split('\n')[0]];
};

test('is alive at once and ready when nothing is in the way', async () => {
  const server = new HealthServer({ address: '127.0.0.1:0', log });
  await server.start();
  const { address } = server;
  expect(await get(address, '/healthz')).toEqual([200, 'ok']);
  expect(await get(address, '/readyz')).toEqual([503, 'starting']);
  server.notReady = () => undefined;
  expect(await get(address, '/readyz?verbose')).toEqual([200, 'ok']);
  expect(await get(address, '/metrics')).toEqual([404, 'not found']);
  await server.stop();
  await expect(get(address, '/healthz')).rejects.toThrow();
});
