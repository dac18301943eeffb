import { RIGHTS } from '../apis/rights.ts';
import { check, type CheckOptions, report } from './check.ts';
import { ApiError } from './framework/types.ts';

const PLURALS = ['remoteclusters', 'remoteclustertemplates', 'remotemachines', 'remotemachinetemplates', 'pooledremotemachines'];
interface Attributes {
  verb: string;
  resource: string;
  namespace: string;
}

/** An API server where everything is as it should be, but for what a test changes. */
class Server {
  served: string[] = PLURALS;
  core = true;
  refused: (attributes: Attributes) => boolean = () => false;
  lease: (look: number) => object = (look) => ({ holderIdentity: 'one', renewTime: String(look) });
  asked: Attributes[] = [];
  #looks = 0;

  get client(): CheckOptions['client'] {
    const of = (answer: () => unknown): Promise<never> => Promise.resolve().then(() => answer() as never);
    return {
      getPath: (path) =>
        of(() => {
          if (path === '/apis/cluster.x-k8s.io' && !this.core) throw new ApiError(404, 'NotFound', 'no');
          return { resources: this.served.map((name) => ({ name })) };
        }),
      create: (_resource, object) =>
        of(() => {
          const { resourceAttributes } = (object as { spec: { resourceAttributes: Attributes } }).spec;
          this.asked.push(resourceAttributes);
          return { status: { allowed: !this.refused(resourceAttributes) } };
        }),
      get: () => of(() => ({ spec: this.lease(this.#looks++) })),
    };
  }
}

const LEASE = { namespace: 'system', name: 'leads', leaseDuration: 15_000, retryPeriod: 2_000 };
const faults = async (server: Server, options: Partial<CheckOptions> = {}) =>
  (await check({ client: server.client, namespaces: undefined, lease: LEASE, insecureDiagnostics: false, pause: 0, ...options })).flatMap(
    ({ good, text }) => (good ? [] : [text]),
  );

test('all is well', async () => {
  const server = new Server();
  expect(await faults(server)).toEqual([]);
  expect(server.asked).toHaveLength(RIGHTS.length);
  expect(server.asked).toContainEqual({
    verb: 'patch',
    group: 'coordination.k8s.io',
    resource: 'leases',
    namespace: 'system',
    name: 'leads',
  });
  expect(server.asked).toContainEqual({ verb: 'get', group: '', resource: 'secrets', namespace: '' });
});

test('rights are needed in each namespace that is watched, and for the Lease only where managers elect', async () => {
  const server = new Server();
  server.refused = ({ resource, namespace }) => resource === 'secrets' && namespace === 'b';
  const found = await faults(server, { namespaces: ['a', 'b'], lease: undefined });
  expect(found).toEqual(['may get secrets in namespace b: no. By name only: SSH keys, bootstrap data, kubeconfigs, known hosts.']);
  const inAll = server.asked.filter(({ namespace }) => namespace === '').map(({ resource }) => resource);
  // Reviews have no namespace.
  expect(inAll).toEqual(['tokenreviews', 'subjectaccessreviews']);
  expect(new Set(server.asked.map(({ namespace }) => namespace))).toEqual(new Set(['a', 'b', '']));
});

test('nobody need be asked who may have metrics that everybody may have', async () => {
  const server = new Server();
  server.refused = ({ resource }) => resource.endsWith('reviews');
  expect(await faults(server)).toHaveLength(2);
  expect(await faults(server, { insecureDiagnostics: true })).toEqual([]);
});

test('a leader that renews its Lease seldom leads, too', async () => {
  const lease = { ...LEASE, leaseDuration: 60_000, retryPeriod: 30_000 };
  const renewedAfter = (looks: number) => {
    const server = new Server();
    server.lease = (look) => ({ holderIdentity: 'one', renewTime: look < looks ? 'before' : 'now' });
    return server;
  };
  // Its leader may have died after a renewal: a minute, and the 36 s in which another one may not have looked.
  expect(await faults(renewedAfter(95), { lease })).toEqual([]);
  expect(await faults(renewedAfter(96), { lease })).toHaveLength(1);
  expect(await faults(renewedAfter(29))).toEqual([]);
  expect(await faults(renewedAfter(30))).toHaveLength(1);
});

test('kinds that are not served', async () => {
  const server = new Server();
  server.served = PLURALS.slice(1);
  server.core = false;
  expect(await faults(server)).toEqual([
    'infrastructure.cluster.x-k8s.io/v1beta1 is not served whole, remoteclusters are missing: apply the CustomResourceDefinitions',
    'infrastructure.cluster.x-k8s.io/v1beta2 is not served whole, remoteclusters are missing: apply the CustomResourceDefinitions',
    "cluster.x-k8s.io is not served: install Cluster API's core provider",
  ]);
});

test.each<[string, (look: number) => object, string]>([
  ['nobody', () => ({}), `nobody has the Lease system/leads`],
  ['one that is dead', () => ({ holderIdentity: 'old', renewTime: '1' }), `old does not renew the Lease system/leads`],
  [
    'one that may not be asked for',
    () => {
      throw new ApiError(403, 'Forbidden', 'not allowed');
    },
    'not allowed',
  ],
])('led by %s', async (_, lease, problem) => {
  const server = new Server();
  server.lease = lease;
  expect(await faults(server)).toEqual([`no manager leads: ${problem}`]);
});

test('a line each, and the sum', () => {
  const lines: string[] = [];
  expect(report([{ good: true, text: 'a' }], (line) => lines.push(line))).toBe(true);
  expect(
    report(
      [
        { good: true, text: 'a' },
        { good: false, text: 'b' },
      ],
      (line) => lines.push(line),
    ),
  ).toBe(false);
  expect(lines).toEqual(['ok      a', 'ok      a', 'MISSING b']);
});
