/** Which of an entry's labels and annotations its machine gets: all but those that belong to the entry itself. Never over an existing value. */
import { GROUP } from '../../apis/infrastructure/group.ts';
import { CLUSTER_GROUP } from '../../apis/cluster/types.ts';

type StringMap = Record<string, string>;

/**
 * By which what brought the entry into the cluster (kubectl, Argo CD, Flux, Helm) finds its own objects and knows how to treat them. On a
 * machine they would say that it came from there, too.
 */
const DELIVERY = {
  keys: ['kubectl.kubernetes.io/last-applied-configuration', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'],
  prefixes: ['argocd.argoproj.io', 'kustomize.toolkit.fluxcd.io', 'helm.toolkit.fluxcd.io', 'meta.helm.sh', 'helm.sh'],
};

/** Those of its delivery, paused, clusterctl's and ours; and cluster.x-k8s.io's labels, by which Cluster API finds its own objects. */
function isOwn(key: string): boolean {
  const prefix = key.slice(0, Math.max(0, key.indexOf('/')));
  return (
    DELIVERY.keys.includes(key) ||
    DELIVERY.prefixes.includes(prefix) ||
    prefix === CLUSTER_GROUP ||
    prefix.endsWith(`.${CLUSTER_GROUP}`) ||
    prefix === GROUP
  );
}

/** Of an entry's labels or annotations those that its machine gets. */
export function inheritable(source: StringMap | undefined): StringMap {
  return Object.fromEntries(Object.entries(source ?? {}).filter(([key]) => !isOwn(key)));
}

/** What `target` lacks of `source`; undefined: nothing. */
function missing(source: StringMap | undefined, target: StringMap | undefined): StringMap | undefined {
  const lacking = Object.entries(inheritable(source)).filter(([key]) => target?.[key] === undefined);
  return lacking.length === 0 ? undefined : Object.fromEntries(lacking);
}

interface Metadata {
  labels?: StringMap;
  annotations?: StringMap;
}

/** Merge patch of metadata that gives `target` what it lacks of the entry's. */
export function inherited(entry: Metadata, target: Metadata): Metadata {
  const labels = missing(entry.labels, target.labels);
  const annotations = missing(entry.annotations, target.annotations);
  return { ...(labels && { labels }), ...(annotations && { annotations }) };
}
