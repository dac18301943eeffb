/** An API server that does not stream lists, as Kubernetes 1.31: the operator asks for them in one piece, and misses nothing. */
import { ApiProxy } from '../env/api-proxy.ts';
import type { Operator } from '../env/operator.ts';
import { counting, Objects, runsOf } from '../fixtures/objects.ts';
import { type Entry, isFree, isReady } from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('unstreamed-lists');
let proxy: ApiProxy;
let operator: Operator;

beforeAll(async () => {
  const { controlPlane, startOperator, namespace } = environment();
  proxy = await ApiProxy.start(controlPlane);
  proxy.streamsLists = false;
  operator = await startOperator({ namespace, server: proxy.url, args: ['-v', '2'] });
});
afterAll(() => proxy.close());

test('what is there before the operator and what comes after it is seen to', async () => {
  const { client, namespace, createHost, startOperator } = environment();
  const objects = new Objects(namespace);
  const host = await createHost();
  const entry = objects.ref('PooledRemoteMachine', 'entry');
  await client.applyAll([
    objects.sshKey('pool-key', host),
    ...objects.cluster('listed'),
    objects.entry('entry', 'listed', host, { cleanUpCommands: ['rm -f /var/log/e2e-runs'] }),
  ]);
  await client.waitFor<Entry>(entry, isReady);
  await operator.stop();
  await client.applyAll([
    objects.bootstrapData('first', counting()),
    objects.remoteMachine('first', { pool: 'listed' }),
    objects.machine('first', 'listed'),
  ]);
  operator = await startOperator({ namespace, server: proxy.url, args: ['-v', '2'] });
  await client.waitFor(objects.ref('RemoteMachine', 'first'), isReady);
  expect(await runsOf(host)).toBe(1);
  await client.delete(objects.clusterRef('Machine', 'first'));
  await client.waitFor<Entry>(entry, isFree);
  expect(operator.logs()).toContain('a list is not streamed; asking for it in one piece');
});
