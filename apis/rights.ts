/**
 * Every right that the operator has on the management cluster, and what it is used for. manifests/rbac and the page of rights are
 * generated from here, and the client refuses a request that is not declared here.
 */
import { CLUSTER_GROUP } from './cluster/types.ts';
import { CONFIG_MAPS, EVENTS, LEASES, NAMESPACES, SECRETS, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS } from './core.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_CLUSTERS, REMOTE_MACHINES } from './infrastructure/resources.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'patch';

/** Name of the one Lease by which a manager leads. */
export const LEASE_NAME = 'controller-leader-election-cluster-api-provider-remote';

export interface Right {
  verb: Verb;
  /** Empty: the core group. */
  group: string;
  /** Plural, with a subresource after a slash. */
  resource: string;
  /** Of the only object that it is for. */
  name?: string;
  /** Only in the operator's own namespace. */
  own?: true;
  /** In the whole cluster, whichever namespaces are watched: of resources that have none. */
  cluster?: true;
  /** What needs it. */
  why: string;
}

type Named = { group: string; plural: string };

const right = (verb: Verb, { group, plural }: Named, why: string, more: Partial<Right> = {}): Right => ({
  verb,
  group,
  resource: plural,
  why,
  ...more,
});
const patchStatus = ({ group, plural }: Named, why: string): Right => right('patch', { group, plural: `${plural}/status` }, why);
/** What an informer does. */
const cached = (of: Named, why: string): Right[] => [right('list', of, why), right('watch', of, why)];

const CLUSTERS = { group: CLUSTER_GROUP, plural: 'clusters' };
const MACHINES = { group: CLUSTER_GROUP, plural: 'machines' };

export const RIGHTS: readonly Right[] = [
  ...cached(REMOTE_CLUSTERS, 'They are reported provisioned.'),
  patchStatus(REMOTE_CLUSTERS, 'Conditions, and that they are provisioned.'),

  ...cached(REMOTE_MACHINES, 'They are provisioned and cleaned up.'),
  right('get', REMOTE_MACHINES, 'Before the host of an entry is cleaned its machine is looked for past the cache.'),
  right('patch', REMOTE_MACHINES, 'Finalizer, run ID, host key, the entry and its connection, providerID.'),
  patchStatus(REMOTE_MACHINES, 'Conditions, the run, the host, addresses, and that they are provisioned.'),

  ...cached(POOLED_REMOTE_MACHINES, 'They are handed out and cleaned.'),
  right('patch', POOLED_REMOTE_MACHINES, 'Finalizer while reserved, host key, quarantine.'),
  patchStatus(POOLED_REMOTE_MACHINES, 'Who has them, conditions, the host.'),

  ...cached(CLUSTERS, 'Whether they are paused and their infrastructure is ready.'),
  right('get', CLUSTERS, 'Before the host of an absent machine is cleaned its Cluster is looked at past the cache: it may be moving.'),

  ...cached(MACHINES, 'Owners of RemoteMachines: bootstrap data, failure domain.'),
  right('patch', MACHINES, 'Labels and annotations of a pool entry go on to the Machine that got its host.'),

  right('get', SECRETS, 'By name only: SSH keys, bootstrap data, kubeconfigs, known hosts.'),
  right('get', CONFIG_MAPS, 'By name only: known hosts.'),
  right('get', NAMESPACES, 'Whether it is being deleted: a key that went with it is not waited for.'),

  right('create', EVENTS, 'What a person would want to know.'),
  right('patch', EVENTS, 'An Event that comes again is counted in the first one.'),

  right('create', TOKEN_REVIEWS, 'Who asks for diagnostics.', { cluster: true }),
  right('create', SUBJECT_ACCESS_REVIEWS, 'Whether whoever asks for diagnostics may have them.', { cluster: true }),

  right('get', LEASES, 'Who leads.', { name: LEASE_NAME, own: true }),
  right('create', LEASES, 'The first manager makes it; a name cannot be demanded of what is not there yet.', { own: true }),
  right('patch', LEASES, 'To lead, to go on leading, and to give it up.', { name: LEASE_NAME, own: true }),
];

/** `patch remotemachines/status` */
export const titleOf = ({ verb, resource }: Pick<Right, 'verb' | 'resource'>): string => `${verb} ${resource}`;

const declared = new Set(RIGHTS.map((one) => `${titleOf(one)}.${one.group}`));

/** Whether the operator has declared that it does this. */
export const isDeclared = (verb: Verb, { group, plural }: Named, subresource?: string): boolean =>
  declared.has(`${verb} ${subresource === undefined ? plural : `${plural}/${subresource}`}.${group}`);
