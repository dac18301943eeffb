/** Bootstrap data that asks for a reboot, on a host with systemd: the machine is ready when its host is back, and nothing runs twice. */
import type { Host } from '../env/hosts.ts';
import { Objects } from '../fixtures/objects.ts';
import { Reports } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const BOOT = '/proc/sys/kernel/random/boot_id';
const environment = sharedEnvironment('power-state');
let objects: Objects;
let reports: Reports;
let host: Host;

beforeAll(async () => {
  const { client, namespace, createHost, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  [host] = await Promise.all([createHost({ kind: 'full' }), startOperator({ namespace })]);
  await client.applyAll(objects.cluster('main'));
});

test('a reboot at the end of a run: it waits for it, says so, and is ready in the next boot', async () => {
  const data = `#cloud-config
power_state: {mode: reboot, condition: test -e /var/boots}
runcmd:
- cat ${BOOT} >>/var/boots
- mkdir -p /run/cluster-api && echo success >/run/cluster-api/bootstrap-success.complete
`;
  const before = (await host.readFile(BOOT)).trim();
  await environment().client.applyAll(objects.explicit('reboots', 'main', host, data));
  await reports.event('reboots', 'HostRebooting', 'RemoteMachine', ['has yet to reboot']);
  await reports.ready('reboots');
  await host.cameBack();
  expect((await host.readFile(BOOT)).trim()).not.toBe(before);
  expect(await host.readFile('/var/boots')).toBe(`${before}\n`);
  expect(await host.exists('/run/cluster-api/bootstrap-success.complete')).toBe(false);
});
