/** A machine that names its host. */
import { counting, Objects, runsOf } from '../fixtures/objects.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('explicit');
let objects: Objects;
beforeAll(async () => {
  objects = new Objects(environment().namespace);
  await environment().startOperator({ namespace: objects.namespace, args: ['-v', '2'] });
});

test('runs its bootstrap data once, reports, and cleans up', async () => {
  const { client, createHost } = environment();
  const host = await createHost();
  await client.applyAll([
    ...objects.cluster('one'),
    ...objects.explicit('one-0', 'one', host, counting(), { cleanUpCommands: ['rm -f /var/log/e2e-runs'] }),
  ]);
  const ready = await client.waitForCondition(objects.ref('RemoteMachine', 'one-0'), 'Ready');
  expect(ready.spec?.['providerID']).toBe(`remote-machine://${host.address}:22`);
  expect(ready.status).toMatchObject({
    ready: true,
    initialization: { provisioned: true },
    addresses: [{ type: 'ExternalIP', address: host.address }],
  });
  expect(await runsOf(host)).toBe(1);
  expect(await host.readFile('/etc/e2e/config')).toBe('written by write_files\n');
  expect(await host.stat('/etc/e2e/config')).toMatchObject({ owner: 'root', group: 'root', mode: '640' });
  await client.waitFor(objects.clusterRef('Machine', 'one-0'), ({ status }) => status?.['phase'] === 'Provisioned');
  await client.delete(objects.clusterRef('Machine', 'one-0'));
  await client.waitForGone(objects.clusterRef('Machine', 'one-0'));
  expect(await host.exists('/var/log/e2e-runs')).toBe(false);
  expect(await host.exists('/etc/e2e/config')).toBe(false);
  expect(await host.exists('/var/lib/cluster-api-provider-remote/claim')).toBe(false);
});
