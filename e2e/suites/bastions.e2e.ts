/** Hosts behind bastions, which are hosts too: one hop and two, each with a user, a key and host keys of its own. */
import { createKeyPair } from '../env/disk.ts';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host, HostOptions } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { fingerprintOf, loginsOf, mustExec, sshdLogOf } from '../fixtures/hosts.ts';
import { counting, Objects, PREFIX, runsOf } from '../fixtures/objects.ts';
import { errorsOf, type Report, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'behind';
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];

const environment = sharedEnvironment('bastions');
let objects: Objects;
let operator: Operator;
let reports: Reports;

beforeAll(async () => {
  const { client, namespace, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  operator = await startOperator({ name: 'bastions', namespace });
  await client.applyAll(objects.cluster(CLUSTER));
});

const machine = (name: string) => objects.ref('RemoteMachine', name);

/** A host that lets in the key of the Secret `name` alone, which is made with it. */
async function hostWithKey(name: string, options: HostOptions = {}): Promise<Host> {
  const { client, createHost, state } = environment();
  const path = join(state.run.folder, `${objects.namespace}-${name}`);
  await createKeyPair(path);
  const [value, publicKey] = await Promise.all([readFile(path, 'utf8'), readFile(`${path}.pub`, 'utf8')]);
  await client.apply(objects.secret(name, { value }));
  return createHost({ ...options, authorizedKeys: [publicKey] });
}

/** Where those who logged in came from. */
const loggedInFrom = async (host: Host): Promise<string[]> =>
  [...(await sshdLogOf(host)).matchAll(/Accepted publickey for (\S+) from (\S+) /g)].map(([, user = '', from = '']) => `${user} ${from}`);

/** A bastion as a spec has it. */
const hop = (name: string, { address, hostPublicKey }: Host, more: object = {}) => ({
  address,
  sshKeyRef: { name },
  hostKeys: [hostPublicKey],
  ...more,
});

async function create(name: string, host: Host, bastions: object[], spec: object = {}): Promise<void> {
  await environment().client.applyAll([
    ...objects.explicit(name, CLUSTER, host, counting(), { cleanUpCommands, sshKeyRef: { name: `${name}-host` }, bastions, ...spec }),
  ]);
}

/** It ran once, over that way and no other, and its host is cleaned over it as well. */
async function runsAndIsCleaned(name: string, host: Host, way: string): Promise<void> {
  const { client } = environment();
  const ready = await reports.ready(name);
  expect(ready.spec).toMatchObject({ providerID: `remote-machine://${host.address}:22` });
  expect(await runsOf(host)).toBe(1);
  await client.delete(objects.clusterRef('Machine', name));
  await client.waitForGone(machine(name));
  expect(await runsOf(host)).toBe(0);
  expect(await host.exists('/var/lib/cluster-api-provider-remote/claim')).toBe(false);
  expect(new Set(await loggedInFrom(host))).toEqual(new Set([way]));
}

const told = (reason: string, ...says: (string | RegExp)[]): Report => ({
  type: 'HostReachable',
  status: 'False',
  reason,
  says,
  ready: 'Unknown',
});

/** Waits until clients have left a light host before they logged in, as they do who refuse its key, so many times more. */
async function waitForRefusals(host: Host, more: number): Promise<void> {
  const count = `grep -cE '(disconnect|Connection (closed|reset)) .*\\[preauth\\]' /var/log/sshd.log`;
  const wait = `first=$(${count}); timeout 60 sh -c 'until [ "$(${count.replaceAll("'", '"')})" -ge $(($0 + ${more})) ]; do sleep 0.05; done' "$first"`;
  const { exitCode } = await host.exec(wait);
  if (exitCode !== 0) throw new Error(`nobody refused ${host.name}: ${await sshdLogOf(host)}`);
}

/** A bastion with `wrong` about it, what the machine says, and how a person mends it. Nobody gets to the host before. */
async function mended(
  name: string,
  wrong: (bastion: Host, host: Host) => object,
  report: (bastion: Host, host: Host) => Promise<Report> | Report,
  mend: (bastion: Host, host: Host) => Promise<unknown>,
  { options = {}, spec = {} }: { options?: HostOptions; spec?: object } = {},
): Promise<void> {
  const [bastion, host] = await Promise.all([hostWithKey(`${name}-bastion`, options), hostWithKey(`${name}-host`)]);
  await create(name, host, [hop(`${name}-bastion`, bastion, wrong(bastion, host))], spec);
  await reports.expect(name, await report(bastion, host));
  expect(await loginsOf(host)).toBe(0);
  await mend(bastion, host);
  await runsAndIsCleaned(name, host, `root ${bastion.address}`);
}

const setBastions = (name: string, bastions: object[]) => environment().client.patch(machine(name), { spec: { bastions } });

sideBySide({
  'one hop: the bastion is in the known hosts of the host, and takes the host’s key': async () => {
    const { client, createHost } = environment();
    const host = await hostWithKey('one-host');
    const authorizedKeys = [(await host.readFile('/etc/ssh/authorized_keys/root')).trim()];
    const bastion = await createHost({ authorizedKeys, sshdConfig: 'AllowTcpForwarding local' });
    const lines = [bastion, host].map(({ address, hostPublicKey }) => `${address} ${hostPublicKey}\n`);
    await client.apply(objects.configMap('one-known', { known_hosts: lines.join('') }));
    const knownHostsRef = { kind: 'ConfigMap', name: 'one-known' };
    await create('one', host, [{ address: bastion.address, user: 'plain' }], { knownHostsRef });
    await runsAndIsCleaned('one', host, `root ${bastion.address}`);
    expect(new Set((await loggedInFrom(bastion)).map((line) => line.split(' ')[0]))).toEqual(new Set(['plain']));
    // No shell is needed on it, and none was asked for.
    expect(await bastion.exists('/var/lib/cluster-api-provider-remote')).toBe(false);
  },

  'two hops, the outermost first, each with a port, a user, a key and a host key of its own': async () => {
    const [outer, inner, host] = await Promise.all([
      hostWithKey('two-outer', { sshdConfig: 'Port 22\nPort 2200' }),
      hostWithKey('two-inner'),
      hostWithKey('two-host'),
    ]);
    await mustExec(outer, 'usermod --shell /usr/sbin/nologin plain');
    const bastions = [
      hop('two-outer', outer, { port: 2200, user: 'plain' }),
      hop('two-inner', inner, { user: 'asks', hostKeys: [await fingerprintOf(inner.hostPublicKey)] }),
    ];
    await create('two', host, bastions, { user: 'admin', useSudo: true, hostKeys: [host.hostPublicKey] });
    await runsAndIsCleaned('two', host, `admin ${inner.address}`);
    expect(new Set(await loggedInFrom(inner))).toEqual(new Set([`asks ${outer.address}`]));
    expect((await loggedInFrom(outer)).every((line) => line.startsWith('plain '))).toBe(true);
  },

  'a bastion without host keys is refused, whatever is accepted for the host; with them it goes on': () =>
    mended(
      'keyless',
      () => ({ hostKeys: undefined }),
      async (bastion) => {
        const presented = await fingerprintOf(bastion.hostPublicKey);
        return told(
          'HostKeyUnknown',
          `The host key of ${bastion.address}:22 is unknown`,
          `it presented ${presented}`,
          'hostKeys or known_hosts',
        );
      },
      async (bastion) => {
        const acceptForHost = (key: string | null) =>
          environment().client.patch(machine('keyless'), { metadata: { annotations: { [`${PREFIX}/accept-host-key`]: key } } });
        const presented = await fingerprintOf(bastion.hostPublicKey);
        const refused = waitForRefusals(bastion, 2);
        await acceptForHost(presented);
        await refused;
        expect(await loginsOf(bastion)).toBe(0);
        await acceptForHost(null);
        await setBastions('keyless', [hop('keyless-bastion', bastion)]);
      },
    ),

  'a bastion that shows another key is refused, and the spec is to be corrected': () =>
    mended(
      'changed',
      (_, host) => ({ hostKeys: [host.hostPublicKey] }),
      async (bastion, host) =>
        told(
          'HostKeyChanged',
          `The host key of ${bastion.address}:22 has changed`,
          `expected ${await fingerprintOf(host.hostPublicKey)}`,
          `presented ${await fingerprintOf(bastion.hostPublicKey)}`,
          'correct the bastion’s hostKeys',
        ),
      (bastion) => setBastions('changed', [hop('changed-bastion', bastion)]),
    ),

  'a bastion that forwards nothing is told': () =>
    mended(
      'closed',
      () => ({}),
      (bastion, host) =>
        told('ForwardingRefused', `The bastion root@${bastion.address}:22 refuses to forward to ${host.address}:22`, 'AllowTcpForwarding'),
      async (bastion) => {
        await bastion.stopSSHD();
        await bastion.exec('rm /etc/ssh/sshd_config.d/host.conf');
        await bastion.startSSHD();
      },
      { options: { sshdConfig: 'AllowTcpForwarding no' } },
    ),

  'a bastion that refuses the key is told by its name': () =>
    mended(
      'stranger',
      () => ({ sshKeyRef: { name: 'stranger-host' } }),
      (bastion) => told('AuthenticationFailed', `root@${bastion.address}:22 refuses the key SHA256:`, 'authorized_keys'),
      (bastion) => setBastions('stranger', [hop('stranger-bastion', bastion)]),
    ),

  'a host that does not answer its bastion is told with both': () =>
    mended(
      'unanswered',
      () => ({}),
      (bastion, host) => told('ConnectionRefused', `Connection to ${host.address}:2 from the bastion ${bastion.address}:22 refused`),
      () => environment().client.patch(machine('unanswered'), { spec: { port: null } }),
      { spec: { port: 2 } },
    ),
});

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
