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

const faults = async (server: Server, options: Partial<CheckOptions> = {}) =>
  (
    await check({ client: server.client, namespaces: undefined, lease: { namespace: 'system', name: 'leads' }, pause: 0, ...options })
  ).flatMap(({ good, text }) => (good ? [] : [text]));

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
