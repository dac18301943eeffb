/** --check: whether the management cluster has what the manager needs: the kinds, every right and, with --leader-elect, a manager that leads. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CLUSTER_GROUP } from '../apis/cluster/types.ts';
import { LEASES } from '../apis/core.ts';
import { GROUP } from '../apis/infrastructure/group.ts';
import type { KubernetesObject } from '../apis/meta.ts';
import { LEASE_NAME, type Right, RIGHTS, titleOf } from '../apis/rights.ts';
import type { ApiClient } from './framework/client.ts';
import { messageOf } from './framework/types.ts';

export interface Finding {
  good: boolean;
  /** A sentence for people. */
  text: string;
}

export interface LeaseReference {
  namespace: string;
  name: string;
  /** Milliseconds. */
  leaseDuration: number;
  retryPeriod: number;
}

export interface CheckOptions {
  /** One that may ask anything: everybody may ask for rights of their own. */
  client: Pick<ApiClient, 'create' | 'get' | 'getPath'>;
  /** Watched; undefined: all. */
  namespaces: readonly string[] | undefined;
  /** By which managers elect; undefined: nobody does. */
  lease: LeaseReference | undefined;
  /** Nobody is asked who may have the metrics. */
  insecureDiagnostics: boolean;
  /** Milliseconds between looks at the Lease. Default 1,000. */
  pause?: number;
}

const KINDS: [group: string, versions: string[], plurals: string[]][] = [
  [
    GROUP,
    ['v1beta1', 'v1beta2'],
    ['remoteclusters', 'remoteclustertemplates', 'remotemachines', 'remotemachinetemplates', 'pooledremotemachines'],
  ],
];
const REVIEWS = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'selfsubjectaccessreviews',
  kind: 'SelfSubjectAccessReview',
  namespaced: false,
};
/** Looks at the Lease, a second apart, at the least. */
const LOOKS = 30;

type Review = KubernetesObject<object, { allowed: boolean }>;
type Lease = KubernetesObject<{ holderIdentity?: string; renewTime?: string }>;

/** Everything that was looked at, in order. Rejects only where the API server cannot be asked at all. */
export async function check(options: CheckOptions): Promise<Finding[]> {
  const kinds = KINDS.flatMap(([group, versions, plurals]) => versions.map((version) => kindsOf(options, `${group}/${version}`, plurals)));
  const rights = RIGHTS.flatMap((right) => placesOf(right, options).map((place) => rightOf(options, right, place)));
  return Promise.all([
    ...kinds,
    clusterAPI(options),
    ...rights,
    ...(options.lease === undefined ? [] : [leaderOf(options, options.lease)]),
  ]);
}

async function kindsOf({ client }: CheckOptions, version: string, plurals: string[]): Promise<Finding> {
  const served = await client.getPath<{ resources: { name: string }[] }>(`/apis/${version}`).then(
    ({ resources }) => resources.map(({ name }) => name),
    (): string[] => [],
  );
  const missing = plurals.filter((plural) => !served.includes(plural));
  if (missing.length === 0) return { good: true, text: `${version} is served` };
  return { good: false, text: `${version} is not served whole, ${missing.join(', ')} are missing: apply the CustomResourceDefinitions` };
}

async function clusterAPI({ client }: CheckOptions): Promise<Finding> {
  return client.getPath(`/apis/${CLUSTER_GROUP}`).then(
    () => ({ good: true, text: `${CLUSTER_GROUP} is served` }),
    () => ({ good: false, text: `${CLUSTER_GROUP} is not served: install Cluster API's core provider` }),
  );
}

/** Namespaces in which a right is needed; '' is all of them. */
function placesOf({ own, cluster }: Right, { namespaces, lease, insecureDiagnostics }: CheckOptions): string[] {
  if (own === true) return lease === undefined ? [] : [lease.namespace];
  // Only reviews, of who asks for diagnostics, are of the whole cluster.
  if (cluster === true) return insecureDiagnostics ? [] : [''];
  return [...(namespaces ?? [''])];
}

async function rightOf({ client, lease }: CheckOptions, right: Right, namespace: string): Promise<Finding> {
  const { verb, group } = right;
  const name = right.name === LEASE_NAME ? lease?.name : right.name;
  const [resource, subresource] = right.resource.split('/');
  const resourceAttributes = { verb, group, resource, namespace, ...(subresource && { subresource }), ...(name && { name }) };
  const { status } = await client.create<Review>(REVIEWS, { spec: { resourceAttributes } });
  const where = namespace === '' ? 'in all namespaces' : `in namespace ${namespace}`;
  const text = `may ${titleOf(right)}${group === '' ? '' : `.${group}`} ${where}`;
  return status?.allowed === true ? { good: true, text } : { good: false, text: `${text}: no. ${right.why}` };
}

/** Its leader may just have died: for as long as another one waits that had not looked yet. Pauses have up to a fifth more, by chance. */
const looksAt = ({ leaseDuration, retryPeriod }: LeaseReference): number =>
  Math.max(LOOKS, Math.ceil((leaseDuration + retryPeriod * 1.2) / 1_000));

/** The clock that the Lease was renewed by is another computer's, so what counts is that it changes. */
async function leaderOf({ client, pause = 1_000 }: CheckOptions, lease: LeaseReference): Promise<Finding> {
  const named = `the Lease ${lease.namespace}/${lease.name}`;
  let first: string | undefined;
  let problem = `nobody has ${named}`;
  const looks = looksAt(lease);
  for (let look = 0; look < looks; look++) {
    try {
      const { spec } = await client.get<Lease>(LEASES, lease);
      first ??= spec?.renewTime;
      if (spec?.holderIdentity && spec.renewTime !== first) return { good: true, text: `${spec.holderIdentity} leads` };
      if (spec?.holderIdentity) problem = `${spec.holderIdentity} does not renew ${named}`;
    } catch (error) {
      problem = messageOf(error);
    }
    await sleep(pause);
  }
  return { good: false, text: `no manager leads: ${problem}` };
}

/** Prints them and says whether all is good. */
export function report(findings: readonly Finding[], print: (line: string) => void): boolean {
  for (const { good, text } of findings) print(`${good ? 'ok     ' : 'MISSING'} ${text}`);
  return findings.every(({ good }) => good);
}
