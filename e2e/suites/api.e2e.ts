/** CRDs, rights and the template policy before a real API server: what it takes, what it refuses, and with which words. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { RIGHTS, titleOf } from '../../apis/rights.ts';
import { findPrograms } from '../env/binaries.ts';
import { type CommandResult, must, run as runCommand } from '../env/command.ts';
import { type ControlPlane, startControlPlane } from '../env/control-plane.ts';
import { cleanUp, type Run, startRun } from '../env/run.ts';

const manifests = path.join(__dirname, '../../manifests');
const GROUP = 'infrastructure.cluster.x-k8s.io';

let run: Run;
let plane: ControlPlane;
let program: string;

const kubectl = (args: string[], input?: string): Promise<CommandResult> =>
  runCommand(program, ['--kubeconfig', plane.kubeconfig, ...args], input === undefined ? {} : { input });
const done = async (args: string[], input?: string): Promise<string> =>
  must(program, ['--kubeconfig', plane.kubeconfig, ...args], input === undefined ? {} : { input });

interface Sample {
  kind: string;
  spec?: unknown;
  version?: 'v1beta1' | 'v1beta2';
  status?: object;
}

let count = 0;
/** Creates an object with its status, and returns its name as kubectl takes it: plural/name. */
async function create({ kind, spec, status, version = 'v1beta2' }: Sample): Promise<string> {
  const name = `sample-${++count}`;
  await done(['create', '-f', '-'], JSON.stringify({ apiVersion: `${GROUP}/${version}`, kind, metadata: { name }, spec }));
  const object = `${kind.toLowerCase()}s.${GROUP}/${name}`;
  if (status !== undefined) await done(['patch', object, '--subresource=status', '--type=merge', '-p', JSON.stringify({ status })]);
  return object;
}

const patch = (object: string, body: object, ...args: string[]): Promise<CommandResult> =>
  kubectl(['patch', object, '--type=merge', '-p', JSON.stringify(body), ...args]);

beforeAll(async () => {
  ({ kubectl: program } = await findPrograms(['kubectl'], () => undefined));
  run = await startRun('api suite');
  plane = await startControlPlane(run, {}, () => undefined);
  await done(['apply', '-k', path.join(manifests, 'default')]);
  await done(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
}, 600_000);

afterAll(async () => {
  await plane.stop();
  cleanUp(run.folder);
});

const key = { sshKeyRef: { name: 'key' } };
const reserved = { reserved: true, machineRef: { name: 'm', namespace: 'default' } };
const provisioned = { initialization: { provisioned: true } };

describe('the kinds', () => {
  test('are structural, and the API server has nothing to say against them', async () => {
    const { items } = JSON.parse(await done(['get', 'crd', '-o', 'json'])) as {
      items: { metadata: { name: string }; status: { conditions: { type: string; status: string }[] } }[];
    };
    expect(items.map(({ metadata }) => metadata.name.split('.')[0])).toEqual([
      'pooledremotemachines',
      'remoteclusters',
      'remoteclustertemplates',
      'remotemachines',
      'remotemachinetemplates',
    ]);
    for (const { status } of items) {
      expect(status.conditions.filter((condition) => condition.status === 'True').map(({ type }) => type)).toEqual([
        'NamesAccepted',
        'Established',
      ]);
    }
  });

  test.each(['rcluster', 'rct', 'rmachine', 'rmt', 'prm', 'cluster-api'])('answer to %s', async (name) => {
    expect((await kubectl(['get', name])).exitCode).toBe(0);
  });

  test('are written in one version and read in the other, unchanged', async () => {
    const spec = { pool: 'p', machine: { address: '192.0.2.1', port: 2222, ...key } };
    const object = await create({ kind: 'PooledRemoteMachine', spec, version: 'v1beta1' });
    const [resource = '', name = ''] = object.split('/');
    const url = `/apis/${GROUP}/v1beta2/namespaces/default/${resource.replace(`.${GROUP}`, '')}/${name}`;
    expect((JSON.parse(await done(['get', '--raw', url])) as { spec: unknown }).spec).toEqual(spec);
  });
});

describe.each([['client-side', []] as const, ['server-side', ['--server-side']] as const])('%s apply of the samples', (_name, flags) => {
  test.each(['explicit-machine.yaml', 'pool.yaml', 'kubeadm.yaml'])('%s', async (file) => {
    const documents = parseAllDocuments(await readFile(path.join(manifests, 'samples', file), 'utf8'));
    const own = documents.filter((document) => String(document.get('apiVersion')).startsWith(`${GROUP}/`));
    const text = own.map(String).join('---\n');
    const { exitCode, stderr } = await kubectl(['apply', ...flags, '-f', '-'], text);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    await done(['delete', '-f', '-'], text);
  });
});

describe('taken', () => {
  test.each<[string, Sample]>([
    ['a machine with neither pool nor address: a condition tells of it', { kind: 'RemoteMachine', spec: {} }],
    ['a machine without spec', { kind: 'RemoteMachine' }],
    ['what k0smotron stores for a pool machine', { kind: 'RemoteMachine', spec: { pool: 'p', sshKeyRef: { name: '' } } }],
    ['what k0smotron stores for a cluster', { kind: 'RemoteCluster', spec: { controlPlaneEndpoint: { host: '', port: 0 } } }],
    [
      'what k0smotron stores for an entry',
      {
        kind: 'PooledRemoteMachine',
        spec: { pool: 'p', machine: { address: '192.0.2.1', port: 22, user: 'root', workingDir: '/etc/k0smotron', ...key } },
        status: { reserved: false, machineRef: { name: '', namespace: '' } },
      },
    ],
    [
      'a Job template',
      {
        kind: 'RemoteMachine',
        spec: { address: '192.0.2.1', provisionJob: { jobSpecTemplate: { spec: { template: { spec: { anything: [1] } } } } } },
      },
    ],
  ])('%s', async (_name, sample) => {
    await create(sample);
  });

  test('a Job template is kept, and an unknown field is not', async () => {
    const kept = { address: '192.0.2.1', provisionJob: { jobSpecTemplate: { spec: { deep: { field: [1] } } } } };
    const name = 'pruned';
    const object = { apiVersion: `${GROUP}/v1beta1`, kind: 'RemoteMachine', metadata: { name }, spec: { ...kept, unknown: 1 } };
    await done(['create', '--validate=false', '-f', '-'], JSON.stringify(object));
    const stored = JSON.parse(await done(['get', 'rmachine', name, '-o', 'json'])) as { spec: object };
    expect(stored.spec).toEqual(kept);
  });

  test('the size of nodes in a template', async () => {
    const template = { apiVersion: `${GROUP}/v1beta2`, kind: 'RemoteMachineTemplate', metadata: { name: 'sized' } };
    const status = { capacity: { cpu: 4, memory: '16Gi' }, nodeInfo: { architecture: 'arm64', operatingSystem: 'linux' } };
    await done(['apply', '-f', '-'], JSON.stringify({ ...template, spec: { template: { spec: { pool: 'p' } } }, status }));
    expect((JSON.parse(await done(['get', 'rmt', 'sized', '-o', 'json'])) as { status: object }).status).toEqual(status);
  });
});

describe('refused', () => {
  test.each<[string, Sample, RegExp]>([
    ['a port that is none', { kind: 'RemoteMachine', spec: { address: 'h', port: 65536 } }, /spec\.port: Invalid value/],
    ['a relative directory', { kind: 'RemoteMachine', spec: { address: 'h', workingDir: 'tmp' } }, /spec\.workingDir: Invalid value/],
    ['an entry without pool', { kind: 'PooledRemoteMachine', spec: { machine: { address: 'h' } } }, /spec\.pool: Required value/],
    [
      'an entry without address',
      { kind: 'PooledRemoteMachine', spec: { pool: 'p', machine: {} } },
      /spec\.machine\.address: Required value/,
    ],
    [
      'two failure domains of one name',
      { kind: 'RemoteCluster', spec: { failureDomains: [{ name: 'a' }, { name: 'a' }] } },
      /Duplicate value/,
    ],
  ])('%s', async (_name, sample, message) => {
    await expect(create(sample)).rejects.toThrow(message);
  });
});

describe('a change', () => {
  const machine = (spec: object, status?: object): Sample => ({ kind: 'RemoteMachine', spec, ...(status && { status }) });
  const entry = (status?: object): Sample => ({
    kind: 'PooledRemoteMachine',
    spec: { pool: 'p', machine: { address: 'h', ...key } },
    ...(status && { status }),
  });
  const fixed = { pool: 'p', address: 'h', providerID: 'remote-machine://h:22' };

  test.each<[string, Sample, object]>([
    ['a reservation', machine({ pool: 'p' }), { spec: { address: 'h', port: 22, user: 'root', ...key } }],
    ['another host before provisioning', machine({ pool: 'p', address: 'h' }), { spec: { address: 'other', port: 2222 } }],
    ['the providerID for the first time', machine({ address: 'h' }), { spec: { providerID: 'remote-machine://h:22' } }],
    ['the address of a provisioned machine that had none', machine({ pool: 'p', providerID: 'x' }), { spec: { address: 'h', port: 1 } }],
    ['the default port written out', machine(fixed), { spec: { port: 22 } }],
    ['the key of a provisioned machine', machine(fixed), { spec: { sshKeyRef: { name: 'new' } } }],
    ['the labels of a provisioned machine', machine(fixed, provisioned), { metadata: { labels: { a: 'b' } } }],
    ['address and pool of a free entry', entry({ reserved: false }), { spec: { pool: 'q', machine: { address: 'other', port: 1 } } }],
    ['the key of a reserved entry', entry(reserved), { spec: { machine: { sshKeyRef: { name: 'new' } } } }],
    ['the labels of a reserved entry', entry(reserved), { metadata: { labels: { a: 'b' } } }],
  ])('is taken: %s', async (_name, sample, body) => {
    expect(await patch(await create(sample), body)).toMatchObject({ exitCode: 0 });
  });

  test.each<[string, Sample, object, RegExp]>([
    ['another providerID', machine(fixed), { spec: { providerID: 'y' } }, /providerID does not change/],
    ['no providerID', machine(fixed), { spec: { providerID: null } }, /providerID does not change/],
    ['no spec at all', machine(fixed), { spec: null }, /providerID does not change/],
    [
      'another address, by providerID',
      machine(fixed),
      { spec: { address: 'other' } },
      /address and port do not change once the bootstrap has begun/,
    ],
    [
      'another address, by status',
      machine({ address: 'h' }, provisioned),
      { spec: { address: 'x' } },
      /address and port do not change once/,
    ],
    ['another address, by v1beta1 status', machine({ address: 'h' }, { ready: true }), { spec: { address: 'x' } }, /address and port/],
    [
      'another address while the bootstrap runs',
      machine({ address: 'h' }, { bootstrap: { runID: 'r' } }),
      { spec: { address: 'x' } },
      /address and port do not change once/,
    ],
    ['no address', machine({ address: 'h' }, provisioned), { spec: { address: null } }, /address and port do not change once/],
    ['another port', machine(fixed), { spec: { port: 23 } }, /address and port do not change once/],
    ['another pool', machine(fixed), { spec: { pool: 'q' } }, /pool of a provisioned machine/],
    ['no pool', machine(fixed), { spec: { pool: null } }, /pool of a provisioned machine/],
    ['a pool', machine({ address: 'h' }, provisioned), { spec: { pool: 'q' } }, /pool of a provisioned machine/],
    ['the address of a reserved entry', entry(reserved), { spec: { machine: { address: 'x' } } }, /address and port of a reserved entry/],
    ['the port of a reserved entry', entry({ reserved: true }), { spec: { machine: { port: 1 } } }, /address and port of a reserved entry/],
    ['the pool of a reserved entry', entry(reserved), { spec: { pool: 'q' } }, /pool of a reserved entry/],
  ])('is refused: %s', async (_name, sample, body, message) => {
    const result = await patch(await create(sample), body);
    expect(result.stderr).toMatch(message);
    expect(result.exitCode).toBe(1);
  });

  test('is refused in v1beta1 as in v1beta2', async () => {
    const [, name = ''] = (await create(machine(fixed))).split('/');
    const old = await patch(`remotemachines.v1beta1.${GROUP}/${name}`, { spec: { address: 'other' } });
    expect(old.stderr).toMatch(/address and port do not change once/);
  });

  test('of an entry that was given back is taken again', async () => {
    const object = await create(entry(reserved));
    await patch(object, { status: { reserved: false, machineRef: null } }, '--subresource=status');
    expect(await patch(object, { spec: { machine: { address: 'other' } } })).toMatchObject({ exitCode: 0 });
  });
});

describe('a template', () => {
  const template: Sample = { kind: 'RemoteMachineTemplate', spec: { template: { spec: { pool: 'p' } } } };
  const change = { spec: { template: { spec: { pool: 'q' } } } };
  const topology = { metadata: { annotations: { 'topology.cluster.x-k8s.io/dry-run': '' } } };
  const refusal = /spec\.template\.spec does not change\. Make a new template/;

  beforeAll(async () => {
    // A policy takes effect a moment after it was applied; the API server gives no sign of it but the refusal.
    const object = await create(template);
    while (!refusal.test((await patch(object, change, '--dry-run=server')).stderr)) await new Promise((resolve) => setImmediate(resolve));
  });

  test.each<[string, Sample, object]>([
    ['machines', template, change],
    ['machines, from v1beta1', { ...template, version: 'v1beta1' }, change],
    [
      'clusters',
      { kind: 'RemoteClusterTemplate', spec: { template: {} } },
      { spec: { template: { spec: { failureDomains: [{ name: 'a' }] } } } },
    ],
  ])('of %s refuses another spec and says what to do', async (_name, sample, body) => {
    const object = await create(sample);
    expect((await patch(object, body)).stderr).toMatch(refusal);
    expect((await patch(object, body, '--dry-run=server')).stderr).toMatch(refusal);
    // The annotation alone lets nothing be stored.
    expect((await patch(object, { ...topology, ...body })).stderr).toMatch(refusal);
  });

  test("lets a topology controller's dry run through", async () => {
    expect(await patch(await create(template), { ...topology, ...change }, '--dry-run=server')).toMatchObject({ exitCode: 0 });
  });

  test('takes new metadata', async () => {
    expect(await patch(await create(template), { metadata: { labels: { a: 'b' } } })).toMatchObject({ exitCode: 0 });
  });
});

describe("the manager's ServiceAccount", () => {
  const system = 'cluster-api-provider-remote-system';
  const cluster = 'cluster.x-k8s.io';

  async function may(verb: string, resource: string, group: string, namespace = 'default', object = ''): Promise<boolean> {
    const [plural, subresource = ''] = resource.split('/');
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user: `system:serviceaccount:${system}:cluster-api-provider-remote`,
        resourceAttributes: { verb, group, resource: plural, subresource, namespace, name: object },
      },
    };
    const answer = JSON.parse(await done(['create', '-f', '-', '-o', 'json'], JSON.stringify(review))) as { status: { allowed: boolean } };
    return answer.status.allowed;
  }

  test.each(RIGHTS.map((right) => [titleOf(right), right] as const))('may %s', async (_, { verb, resource, group, own, name: only }) => {
    expect(await may(verb, resource, group, own ? system : 'default', only)).toBe(true);
    if (only !== undefined) expect(await may(verb, resource, group, own ? system : 'default', 'another')).toBe(false);
  });

  test.each([
    ['list', 'secrets', ''],
    ['watch', 'secrets', ''],
    ['create', 'secrets', ''],
    ['list', 'configmaps', ''],
    ['patch', 'clusters', cluster],
    ['delete', 'machines', cluster],
    ['delete', 'remotemachines', GROUP],
    ['create', 'pooledremotemachines', GROUP],
    ['patch', 'remotemachinetemplates', GROUP],
    ['create', 'jobs', 'batch'],
    ['get', 'machines', cluster],
    ['get', 'pooledremotemachines', GROUP],
    ['patch', 'remoteclusters', GROUP],
    ['get', 'leases', 'coordination.k8s.io', 'default'],
  ])('may not %s %s', async (...right) => {
    expect(await may(...(right as [string, string, string, string?]))).toBe(false);
  });
});
