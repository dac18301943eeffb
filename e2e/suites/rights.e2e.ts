/** Each right of the operator is needed: without it, what needs it is refused, the operator names the right, and goes on once it has it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { rulesOf } from '../../apis/generate/rbac.ts';
import { LEASE_NAME, type Right, RIGHTS, titleOf } from '../../apis/rights.ts';
import type { AnyObject } from '../env/client.ts';
import { MANAGER } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { askDiagnostics } from '../fixtures/diagnostics.ts';
import { counting, Objects, runsOf } from '../fixtures/objects.ts';
import { conditionOf, type Entry, isFree, isReady } from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'bound';
const RBAC = 'rbac.authorization.k8s.io';
const environment = sharedEnvironment('rights');
/** Not the ServiceAccount, which every other suite's managers are. */
const USER = 'e2e-manager-with-less';

let objects: Objects;
let operator: Operator;
let host: Host;
const tried = new Set<string>();
const titles = RIGHTS.map(titleOf);
const machine = (name: string) => objects.ref('RemoteMachine', name);
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);

/** Grants all rights but these, and returns once the API server says so of each. */
async function grantAllBut(...without: string[]): Promise<void> {
  const { client, namespace } = environment();
  const granted = RIGHTS.filter((right) => !without.includes(titleOf(right)));
  const name = `${namespace}-less`;
  const subjects = [{ apiGroup: RBAC, kind: 'User', name: USER }];
  await client.applyAll(
    (['ClusterRole', 'Role'] as const).flatMap((kind) => {
      const metadata = { name, ...(kind === 'Role' && { namespace }) };
      const rules = rulesOf(granted.filter(({ own = false }) => own === (kind === 'Role')));
      return [
        { apiVersion: `${RBAC}/v1`, kind, metadata, rules },
        { apiVersion: `${RBAC}/v1`, kind: `${kind}Binding`, metadata, roleRef: { apiGroup: RBAC, kind, name }, subjects },
      ];
    }),
  );
  await Promise.all(RIGHTS.map((right) => untilAllowed(right, granted.includes(right))));
}

async function untilAllowed({ verb, group, resource, name = '' }: Right, allowed: boolean): Promise<void> {
  const { client, namespace } = environment();
  const [plural = '', subresource = ''] = resource.split('/');
  const resourceAttributes = { verb, group, resource: plural, subresource, namespace, name };
  const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user: USER, resourceAttributes } };
  for (let tries = 0; ; tries++) {
    const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
    const { status } = await client.rest.call<{ status: { allowed: boolean } }>({ method: 'POST', path, body });
    if (status.allowed === allowed) return;
    if (tries > 500) throw new Error(`${verb} ${resource} should ${allowed ? '' : 'not '}be allowed`);
    await sleep(20); // roles take effect without an event that tells of it
  }
}

/** What the API server says where the right is missing, and the operator passes on. */
function refusalOf(title: string): string {
  const { verb, group, resource } = RIGHTS.find((right) => titleOf(right) === title) as Right;
  return `cannot ${verb} resource "${resource}" in API group "${group}"`;
}

/** Waits until the operator has logged, after what it had logged before, that the right is missing. */
async function untilTold(title: string, from = 0): Promise<void> {
  tried.add(title);
  // As it stands within a JSON string.
  const text = JSON.stringify(refusalOf(title)).slice(1, -1);
  const end = performance.now() + 30_000;
  while (!operator.logs().slice(from).includes(text)) {
    if (performance.now() > end)
      throw new Error(`the operator did not log within 30 s that it ${refusalOf(title)}:\n${operator.logs().slice(-3000)}`);
    await sleep(20);
  }
}

/** Takes the right away, lets the operator need it, and gives it back. */
async function without(title: string, need: () => Promise<unknown>, ...others: string[]): Promise<void> {
  const from = operator.logs().length;
  await grantAllBut(title, ...others);
  await need();
  await untilTold(title, from);
  await grantAllBut(...others);
}

/** Waits until the machine's condition says that the right is missing. */
async function untilCondition(name: string, title: string): Promise<void> {
  await environment().client.waitFor(machine(name), (object) => {
    const told = conditionOf(object, 'HostReachable');
    return told?.reason === 'Forbidden' && told.message?.includes(refusalOf(title)) === true;
  });
}
const ready = (name: string): Promise<AnyObject> => environment().client.waitFor(machine(name), isReady);

beforeAll(async () => {
  const { client, namespace, createHost } = environment();
  objects = new Objects(namespace);
  host = await createHost();
  await client.apply(objects.sshKey('pool-key', host));
});
afterAll(async () => {
  const { client, namespace } = environment();
  for (const kind of ['ClusterRoleBinding', 'ClusterRole'])
    await client.delete({ apiVersion: `${RBAC}/v1`, kind, name: `${namespace}-less` });
});

test('to start: list, watch, and the Lease', async () => {
  const { controlPlane, namespace, startOperator } = environment();
  const [lists, watches] = [titles.filter((title) => title.startsWith('list ')), titles.filter((title) => title.startsWith('watch '))];
  const leases = ['get leases', 'create leases', 'patch leases'];
  await grantAllBut(...lists, ...watches, ...leases);
  const kubeconfig = await controlPlane.issueClientCertificate(USER);
  const args = ['--leader-elect', `--leader-election-namespace=${namespace}`];
  operator = await startOperator({ name: 'rights', namespace, kubeconfig, unready: true, secureDiagnostics: true, args });
  for (const title of lists) await untilTold(title);
  await grantAllBut(...watches, ...leases);
  for (const title of watches) await untilTold(title);
  for (const [index, title] of leases.entries()) {
    await untilTold(title);
    await grantAllBut(...leases.slice(index + 1));
  }
});

test('for clusters, and Events', async () => {
  const { client } = environment();
  await without('patch remoteclusters/status', () => client.applyAll(objects.cluster(CLUSTER)));
  await client.waitFor(objects.ref('RemoteCluster', CLUSTER), isReady);
  await without('create events', () => client.applyAll(objects.cluster('other')));
  // What it is about is not held up.
  await client.waitFor(objects.ref('RemoteCluster', 'other'), isReady);
});

test('for an entry and its machine', async () => {
  const { client, namespace } = environment();
  await without('patch pooledremotemachines/status', () =>
    client.apply(
      objects.entry(
        'entry',
        'bound',
        host,
        { cleanUpCommands: ['rm -f /var/log/e2e-runs'], knownHostsRef: { kind: 'ConfigMap', name: 'known' } },
        {},
        { labels: { 'e2e/rack': 'a' } },
      ),
    ),
  );
  await client.waitFor<Entry>(entry('entry'), isReady);
  await client.applyAll([
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name: 'known' },
      data: { known_hosts: `${host.address} ${host.hostPublicKey}\n` },
    },
    objects.bootstrapData('first', counting()),
    objects.remoteMachine('first', { pool: 'bound' }),
  ]);
  // Each is needed only once the one before it was given.
  const one = 'patch remotemachines';
  const rest = ['patch remotemachines/status', 'get configmaps', 'get secrets', 'patch pooledremotemachines', 'patch machines'];
  await without(one, () => client.apply(objects.machine('first', CLUSTER)), ...rest);
  for (const [index, title] of rest.entries()) {
    await untilTold(title);
    // A condition that changes in words alone is written later: that of the Secret is looked at on another machine.
    if (title === 'get configmaps') await untilCondition('first', title);
    await grantAllBut(...rest.slice(index + 1));
  }
  await ready('first');
  await client.waitFor(objects.clusterRef('Machine', 'first'), ({ metadata }) => metadata.labels?.['e2e/rack'] === 'a');
  expect(await runsOf(host)).toBe(1);
});

test('for an Event that comes again', async () => {
  const { client } = environment();
  const pause = (paused: true | null) =>
    client.patch(machine('first'), { metadata: { annotations: { 'cluster.x-k8s.io/paused': paused && '' } } });
  const untilPaused = (status: string) => client.waitForCondition(machine('first'), 'Paused', undefined, status);
  await without('patch events', async () => {
    for (let times = 0; times < 2; times++) {
      await pause(true);
      await untilPaused('True');
      await pause(null);
      await untilPaused('False');
    }
  });
});

test('for a deletion whose key is gone', async () => {
  const { client, namespace } = environment();
  await without('get namespaces', async () => {
    await client.delete({ apiVersion: 'v1', kind: 'Secret', namespace, name: 'pool-key' });
    await client.delete(objects.clusterRef('Machine', 'first'));
  });
  await client.apply(objects.sshKey('pool-key', host));
  await client.waitForGone(machine('first'));
  await client.waitFor<Entry>(entry('entry'), isFree);
  expect(await runsOf(host)).toBe(0);
});

test('for an entry whose machine is absent', async () => {
  const { client, namespace } = environment();
  const machineRef = { namespace, name: 'ghost', uid: 'of-a-ghost', clusterName: CLUSTER };
  const [first, second] = ['get remotemachines', 'get clusters'] as const;
  await without(first, () => client.patch(entry('entry'), { status: { reserved: true, machineRef } }, 'status'), second);
  await untilTold(second);
  await grantAllBut();
  await client.waitFor<Entry>(entry('entry'), isFree);
});

test('for whoever asks for its diagnostics', async () => {
  const token = await environment().client.tokenOf(MANAGER);
  const ask = () => askDiagnostics(`https://${operator.diagnostics}/metrics`, { token });
  const [who, may] = ['create tokenreviews', 'create subjectaccessreviews'] as const;
  const refused = async () => expect((await ask()).status).toBe(500);
  await without(who, refused, may);
  await without(may, refused);
  // The manager itself has no business with metrics.
  expect((await ask()).status).toBe(403);
});

test('are all that there are; and nothing was lost', async () => {
  const { client, namespace } = environment();
  expect([...tried].sort()).toEqual([...titles].sort());
  expect(operator.process.alive).toBe(true);
  const lease = await client.get({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name: LEASE_NAME });
  expect(lease.spec).toMatchObject({ leaseTransitions: 0 });
  const lost = operator.logs().match(/lost the leader lease|this is a bug/);
  expect(lost).toBeNull();
});

test('where only Secrets are withheld, the machine says so, and afterwards the operator is refused nothing', async () => {
  const { client } = environment();
  await without('get secrets', async () => {
    await client.applyAll([
      objects.bootstrapData('second', counting()),
      objects.remoteMachine('second', { pool: 'bound' }),
      objects.machine('second', CLUSTER),
    ]);
    await untilCondition('second', 'get secrets');
  });
  const from = operator.logs().length;
  await ready('second');
  expect(await runsOf(host)).toBe(1);
  expect(operator.logs().slice(from)).not.toContain('cannot ');
});
