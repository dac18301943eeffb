/** Bootstrap data that asks for a reboot, on a host with systemd: the machine is ready when its host is back, and nothing runs twice. */
import type { Host } from '../env/hosts.ts';
import { installScript } from '../fixtures/hosts.ts';
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

test('a reboot at the end of a run: the machine is ready in the next boot, and nothing runs twice', async () => {
  const data = `#cloud-config
power_state: {mode: reboot, condition: test -e /var/boots}
runcmd:
- cat ${BOOT} >>/var/boots
- mkdir -p /run/cluster-api && echo success >/run/cluster-api/bootstrap-success.complete
`;
  const before = (await host.readFile(BOOT)).trim();
  await environment().client.applyAll(objects.explicit('reboots', 'main', host, data));
  await host.cameBack();
  await reports.ready('reboots');
  expect((await host.readFile(BOOT)).trim()).not.toBe(before);
  expect(await host.readFile('/var/boots')).toBe(`${before}\n`);
  expect(await host.exists('/run/cluster-api/bootstrap-success.complete')).toBe(false);
});

test('a reboot that takes its time: the machine is not ready before, and says what it waits for', async () => {
  const { client, createHost } = environment();
  const slow = await createHost();
  // In the place of what makes a light host, which has no init, reboot: the person at its switch.
  await installScript(slow, '/usr/local/sbin/shutdown', '#!/bin/sh\necho "$@" >/var/asked\n');
  await client.applyAll(
    objects.explicit('waits', 'main', slow, '#cloud-config\npower_state: {mode: poweroff, delay: 1}\nruncmd: [echo ran >>/var/ran]\n'),
  );
  const says = ['has yet to reboot', 'does not come back'];
  await reports.expect('waits', { type: 'BootstrapExecSucceeded', reason: 'HostRebooting', says, ready: 'Unknown' });
  expect(await slow.readFile('/var/asked')).toBe('-P +1\n');
  await slow.reboot();
  await reports.ready('waits');
  expect(await slow.readFile('/var/ran')).toBe('ran\n');
});
