/** The environment itself: what the other suites take for granted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../env/client.ts';
import { run as runCommand } from '../env/command.ts';
import { type ControlPlane, startControlPlane } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import { installManifests } from '../env/operator.ts';
import { cleanUp, isAlive, startRun, startTime } from '../env/run.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('environment');
const infrastructure = 'infrastructure.cluster.x-k8s.io/v1beta2';

/** A command over SSH with OpenSSH's own client, which checks the host's key. */
function ssh(host: Host, command: string, user = 'root') {
  const folder = environment().state.run.folder;
  const known = join(folder, `known-hosts-${host.name}`);
  writeFileSync(known, `${host.address} ${host.hostPublicKey}\n`);
  const key = join(folder, 'suite-key');
  writeFileSync(key, host.privateKey);
  chmodSync(key, 0o600);
  const options = ['-F', 'none', '-i', key, '-o', `UserKnownHostsFile=${known}`, '-o', 'StrictHostKeyChecking=yes', '-o', 'BatchMode=yes'];
  return runCommand('ssh', [...options, '-o', 'ConnectTimeout=3', '-p', String(host.port), `${user}@${host.address}`, command]);
}

/** Waits for what nothing tells us of. */
async function eventually(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition() && performance.now() < end) await sleep(10);
  expect(condition()).toBe(true);
}

const linesOf = (path = ''): string[] => readFileSync(path, 'utf8').split('\n');

describe('the control plane', () => {
  test('answers its administrator, and nobody without rights', async () => {
    const { client, controlPlane } = environment();
    expect(await client.rest.text('/readyz')).toBe('ok');
    const stranger = await Client.connect(await controlPlane.issueClientCertificate('stranger'));
    await expect(stranger.list({ apiVersion: 'v1', kind: 'Secret' })).rejects.toMatchObject({ status: 403 });
    stranger.rest.close();
  });

  test('collects what a deleted owner leaves, and writes who asked for it into the audit log', async () => {
    const { client, namespace, controlPlane } = environment();
    const map = { apiVersion: 'v1', kind: 'ConfigMap' };
    const owner = await client.create({ ...map, metadata: { namespace, name: 'owner' } });
    const ownerReferences = [{ ...map, name: 'owner', uid: owner.metadata.uid ?? '' }];
    await client.create({ ...map, metadata: { namespace, name: 'owned', ownerReferences } });
    await client.delete({ ...map, namespace, name: 'owner' });
    await client.waitForGone({ ...map, namespace, name: 'owned' });
    // The log's line comes after the answer, on which the watch may have been faster.
    const deletion = () =>
      linesOf(controlPlane.auditLog).find(
        (line) => line.includes(`/namespaces/${namespace}/configmaps/owned`) && line.includes('"verb":"delete"'),
      );
    await eventually(() => deletion() !== undefined);
    expect(deletion()).toContain('system:serviceaccount:kube-system:generic-garbage-collector');
  });

  test('says at a time-out what the object was like', async () => {
    const { client, namespace } = environment();
    const map = { apiVersion: 'v1', kind: 'ConfigMap' };
    const reference = { ...map, namespace, name: 'slow' };
    await client.apply({ ...map, metadata: { namespace, name: 'slow' } });
    await expect(client.waitFor(reference, () => false, 2_000)).rejects.toThrow(
      /ConfigMap .*slow is not as expected after 2 s. Last seen:/,
    );
    await expect(client.waitFor({ ...reference, name: 'none' }, () => true, 2_000)).rejects.toThrow(/It does not exist/);
  });

  describe('a second one', () => {
    let plane: ControlPlane;
    beforeAll(async () => {
      plane = await startControlPlane(environment().state.run, { name: 'second' }, () => undefined);
    });
    afterAll(() => plane.stop());

    test('stands beside the first, and keeps its objects when its API server is restarted or killed; a wait goes on meanwhile', async () => {
      const client = await Client.connect(plane.kubeconfig);
      const map = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'kept' };
      await client.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept' } });
      expect(await environment().client.find(map)).toBeUndefined();
      await plane.restartAPIServer();
      const waiting = client.waitFor(map, ({ data }) => data?.['after'] === 'the kill');
      await plane.killAPIServer();
      await expect(client.get(map)).rejects.toThrow();
      await plane.startAPIServer();
      await client.patch(map, { data: { after: 'the kill' } });
      await waiting;
      client.rest.close();
    });
  });
});

describe('a light host', () => {
  let host: Host;
  beforeAll(async () => {
    host = await environment().createHost({ hostname: 'lamp', machineID: 'a'.repeat(32) });
  });

  test('answers over SSH with its own name, machine ID, address and processes', async () => {
    const { stdout } = await ssh(host, 'hostname; cat /etc/machine-id; ip -4 -br addr show eth0; ls -d /proc/[0-9]* | wc -l');
    const [name, machineID, link, processes] = stdout.trim().split('\n');
    expect([name, machineID]).toEqual(['lamp', 'a'.repeat(32)]);
    expect(link).toContain(`${host.address}/16`);
    expect(Number(processes)).toBeLessThan(20);
    expect(await host.exists('/run/systemd/system')).toBe(false);
  });

  test.each([
    ['admin', 0, 'root'],
    ['asks', 1, ''],
    ['plain', 1, ''],
  ])('sudo without a password as %s ends with %i', async (user, exitCode, output) => {
    const result = await ssh(host, 'sudo -n id -un', user);
    expect([result.exitCode, result.stdout.trim()]).toEqual([exitCode, output]);
  });

  test('is looked at from inside, running or not', async () => {
    await ssh(host, 'mkdir -p /opt/x && printf hello >/opt/x/file && chown admin:plain /opt/x/file && chmod 640 /opt/x/file');
    const expected = { owner: 'admin', group: 'plain', mode: '640', size: 5, type: 'regular file' };
    expect(await host.stat('/opt/x/file')).toEqual(expected);
    await host.powerCut();
    expect(await host.stat('/opt/x/file')).toEqual(expected);
    expect(await host.readFile('/opt/x/file')).toBe('hello');
    expect(await host.exists('/opt/x/other')).toBe(false);
    await expect(host.readFile('/opt/x/other')).rejects.toThrow('No such file');
    await host.start();
  });

  test('loses its processes and /run by a power cut, but not its disk or host key', async () => {
    await ssh(host, 'echo kept >/var/kept; echo lost >/run/lost; setsid -f sleep 1234 </dev/null >/dev/null 2>&1');
    const key = host.hostPublicKey;
    await host.powerCut();
    expect([host.running, await host.answers(300)]).toEqual([false, false]);
    await expect(host.exec('true')).rejects.toThrow('lamp is off');
    await host.start();
    expect(host.hostPublicKey).toBe(key);
    expect((await ssh(host, 'cat /var/kept; cat /run/lost; pgrep -f "sleep 1234"')).stdout).toBe('kept\n');
  });

  test('is another host after it is installed anew', async () => {
    const fresh = await environment().createHost();
    const before = { key: fresh.hostPublicKey, id: await fresh.readFile('/etc/machine-id') };
    await ssh(fresh, 'touch /var/old');
    await fresh.reimage();
    expect(fresh.hostPublicKey).not.toBe(before.key);
    expect(await fresh.readFile('/etc/machine-id')).not.toBe(before.id);
    expect((await ssh(fresh, 'test ! -e /var/old')).exitCode).toBe(0);
  });

  test('shows another host key after rekey', async () => {
    const before = host.hostPublicKey;
    await host.rekey();
    expect(host.hostPublicKey).not.toBe(before);
    expect((await ssh(host, 'true')).exitCode).toBe(0);
  });

  test('goes on with a session when sshd stops listening, and with a connection when the link comes back', async () => {
    const session = ssh(host, 'echo started >/run/session; while [ ! -e /run/go ]; do sleep 0.05; done; echo done');
    await host.exec('while [ ! -e /run/session ]; do sleep 0.02; done');
    await host.stopSSHD();
    expect((await ssh(host, 'true')).stderr).toContain('Connection refused');
    await host.linkDown();
    expect(await host.answers(300)).toBe(false);
    await host.exec('touch /run/go');
    await host.startSSHD();
    await host.linkUp();
    expect((await session).stdout).toBe('done\n');
    expect((await ssh(host, 'true')).exitCode).toBe(0);
  });
});

test('a full host runs systemd, which starts units and comes back after a power cut', async () => {
  const host = await environment().createHost({ kind: 'full' });
  expect((await ssh(host, 'systemctl is-system-running')).stdout.trim()).toBe('running');
  const unit = await ssh(host, 'systemd-run --unit=probe --property=Type=exec sleep 600 && systemctl is-active probe');
  expect(unit.stdout.trim()).toBe('active');
  await host.reboot();
  expect((await ssh(host, 'systemctl is-active probe')).stdout.trim()).toBe('inactive');
  await host.stopSSHD();
  expect(await host.answers(300)).toBe(false);
  await host.startSSHD();
});

test('nothing outlives a process that is killed, and the next run removes what it had made', async () => {
  // SIGKILL: none of its own code gets to clean up.
  const modules = ['run', 'hosts'].map((name) => JSON.stringify(join(__dirname, `../env/${name}.ts`)));
  const script = `
    const [{ startRun }, { startHosting, createHost }] = await Promise.all([${modules.map((path) => `import(${path})`).join(', ')}]);
    const run = await startRun('killed');
    const state = await startHosting(run, () => {});
    const hosts = await Promise.all(['light', 'full'].map((kind) => createHost(run, state, { kind })));
    console.log(JSON.stringify({ pids: hosts.map(({ pid }) => pid), folder: run.folder, index: run.index }));
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const { pids, folder, index } = JSON.parse(line.toString()) as { pids: number[]; folder: string; index: number };
  const machines = pids.map((pid) => ({ pid, start: startTime(pid) ?? -1 }));
  expect(machines.map(isAlive)).toEqual([true, true]);
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  await eventually(() => !machines.some(isAlive));
  expect(existsSync(folder)).toBe(true);
  cleanUp((await startRun('next')).folder);
  expect(existsSync(folder)).toBe(false);
  const { stdout } = await runCommand('sh', ['-c', `ip -br link; ip netns; find /sys/fs/cgroup -name 'capr${index}-*'`]);
  expect(stdout).not.toMatch(new RegExp(`capr${index}(?![0-9])`));
});

test('a load balancer spreads connections over its backends and leaves out the dead', async () => {
  const { createHosts, createLoadBalancer } = environment();
  const backends = await createHosts(2);
  const balancer = await createLoadBalancer({ port: 2222, backends: backends.map(({ address }) => ({ address, port: 22 })) });
  const through = async (backend: Host) => {
    const { exitCode } = await balancer.host.exec(
      `ssh-keyscan -t ed25519 -p 2222 127.0.0.1 2>/dev/null | grep -F '${backend.hostPublicKey}'`,
    );
    return exitCode === 0;
  };
  // Round robin: of two connections each backend gets one, whichever is first.
  const [one, two] = backends as [Host, Host];
  const answered = [await through(one), await through(one)];
  expect(answered.filter(Boolean)).toHaveLength(1);
  await balancer.setBackends([{ address: two.address, port: 22 }]);
  expect([await through(two), await through(two), await through(one)]).toEqual([true, true, false]);
});

test('Cluster API core drives a Machine of these kinds to Provisioned, in both versions', async () => {
  const { client, namespace } = environment();
  await installManifests(client);
  const cluster = 'cluster.x-k8s.io/v1beta1';
  const reference = (kind: string, name: string) => ({ apiVersion: infrastructure, kind, name });
  await client.applyAll([
    {
      apiVersion: infrastructure,
      kind: 'RemoteCluster',
      metadata: { namespace, name: 'c' },
      spec: { controlPlaneEndpoint: { host: '10.0.0.1', port: 6443 } },
    },
    {
      apiVersion: cluster,
      kind: 'Cluster',
      metadata: { namespace, name: 'c' },
      spec: { infrastructureRef: reference('RemoteCluster', 'c') },
    },
    {
      apiVersion: infrastructure,
      kind: 'RemoteMachine',
      metadata: { namespace, name: 'm' },
      spec: { address: '10.0.0.2', sshKeyRef: { name: 'key' } },
    },
    { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'data' }, stringData: { value: '#cloud-config\n' } },
    {
      apiVersion: cluster,
      kind: 'Machine',
      metadata: { namespace, name: 'm' },
      spec: { clusterName: 'c', bootstrap: { dataSecretName: 'data' }, infrastructureRef: reference('RemoteMachine', 'm') },
    },
  ]);
  const remote = { ...reference('RemoteMachine', 'm'), namespace };
  await client.waitFor(remote, ({ metadata }) => metadata.ownerReferences?.[0]?.kind === 'Machine');
  await client.patch({ ...reference('RemoteCluster', 'c'), namespace }, { status: { initialization: { provisioned: true } } }, 'status');
  await client.patch(remote, { spec: { providerID: 'remote-machine://10.0.0.2:22' } });
  await client.patch(remote, { status: { initialization: { provisioned: true } } }, 'status');
  const machine = { apiVersion: 'cluster.x-k8s.io/v1beta2', kind: 'Machine', namespace, name: 'm' };
  const provisioned = await client.waitFor(machine, ({ status }) => status?.['phase'] === 'Provisioned');
  expect(provisioned.spec?.['providerID']).toBe('remote-machine://10.0.0.2:22');
  expect((await client.get({ ...machine, apiVersion: cluster })).status?.['infrastructureReady']).toBe(true);
});
