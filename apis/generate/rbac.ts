/** manifests/rbac: roles that grant what apis/rights.ts declares, and the page that says why. */
import { RIGHTS, type Right } from '../rights.ts';

const NAMESPACE = 'cluster-api-provider-remote-system';
const SERVICE_ACCOUNT = 'cluster-api-provider-remote';

/** What it takes to read /metrics. */
export const METRICS_READER_RULES = [{ nonResourceURLs: ['/metrics'], verbs: ['get'] }];

interface Rule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** One rule for each resource and name. */
export function rulesOf(rights: readonly Right[]): Rule[] {
  const rules = new Map<string, Rule>();
  for (const { group, resource, name, verb } of rights) {
    const key = JSON.stringify([group, resource, name]);
    const rule = rules.get(key) ?? { apiGroups: [group], resources: [resource], ...(name && { resourceNames: [name] }), verbs: [] };
    rule.verbs.push(verb);
    rules.set(key, rule);
  }
  return [...rules.values()];
}

const isOwn = ({ own }: Right): boolean => own === true;

function roleAndBinding(kind: 'Role' | 'ClusterRole', name: string, rights: readonly Right[]): object[] {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  return [
    { apiVersion, kind, metadata: { name }, rules: rulesOf(rights) },
    {
      apiVersion,
      kind: `${kind}Binding`,
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
      subjects: [{ kind: 'ServiceAccount', name: SERVICE_ACCOUNT, namespace: NAMESPACE }],
    },
  ];
}

/** All that the operator does on the management cluster. clusterctl delete removes cluster-scoped objects only by the prefix of its namespace. */
export const managerRole = (): object[] =>
  roleAndBinding(
    'ClusterRole',
    `${NAMESPACE}-manager`,
    RIGHTS.filter((right) => !isOwn(right)),
  );

export const leaderElectionRole = (): object[] =>
  roleAndBinding('Role', 'cluster-api-provider-remote-leader-election', RIGHTS.filter(isOwn));

/** For whoever collects the metrics: to be bound to their account. */
export const metricsReaderRole = (): object => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: `${NAMESPACE}-metrics-reader` },
  rules: METRICS_READER_RULES,
});

/** docs/reference/rights.md */
export function rightsReference(): string {
  const rows = RIGHTS.map(({ verb, group, resource, name, own, cluster, why }) => {
    const where = [name && `\`${name}\` only`, own && 'in its own namespace', cluster && 'whichever namespaces it watches']
      .filter(Boolean)
      .join(', ');
    return `| \`${verb}\` | \`${resource}\` | ${group === '' ? 'core' : `\`${group}\``} | ${why}${where === '' ? '' : ` (${where})`} |`;
  });
  return `<!-- Written by \`npm run generate\`. Do not edit. -->

# Rights

What the operator may do on the management cluster, and what for. It has no other right: [manifests/rbac](../../manifests/rbac/manager.yaml) grants these, and a request that is not among them is refused by its own client. It deletes nothing, makes no objects but Events and its Lease (reviews are questions, nothing stays of them), and has no right on templates.

| Verb | Resource | API group | What for |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}
