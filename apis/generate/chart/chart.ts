/** Files of the Helm chart that follow from others: nothing that stands elsewhere is written there by hand. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { GROUP } from '../../infrastructure/group.ts';
import { LEASE_NAME, RIGHTS } from '../../rights.ts';
import { customResourceDefinition } from '../crd.ts';
import { KINDS } from '../kinds.ts';
import { METRICS_READER_RULES, rulesOf } from '../rbac.ts';
import { type Fields, VALUES } from './values.ts';

const root = path.join(import.meta.dirname, '../../..');
export const CHART = 'charts/cluster-api-provider-remote';

interface Project {
  name: string;
  version: string;
  description: string;
}

const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const yaml = (value: unknown): string =>
  `# Written by \`npm run generate\`. Do not edit.\n${stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 })}`;

/** Every generated file of the chart by its path, before it is formatted. */
export function chartFiles(): [string, string][] {
  const project = JSON.parse(read('package.json')) as Project;
  return [
    ['Chart.yaml', chart(project)],
    ['values.yaml', `# Written by \`npm run generate\` from apis/generate/chart/values.ts. Do not edit.\n${valuesOf(VALUES, '')}`],
    ['values.schema.json', JSON.stringify(schemaOf(VALUES))],
    ['README.md', readme(project)],
    ...KINDS.map((kind): [string, string] => [`files/crds/${GROUP}_${kind.plural}.yaml`, yaml(customResourceDefinition(kind))]),
    ['files/rules.yaml', yaml(rules())],
    ['files/policy.yaml', yaml(parseAllDocuments(read('manifests/policy/template-immutability.yaml')).map((one) => one.toJS() as object))],
    ['files/alerts.yaml', read('manifests/monitoring/alerts.yaml')],
    ['files/dashboard.json', read('manifests/monitoring/dashboard.json')],
  ].map(([name = '', content = '']) => [`${CHART}/${name}`, content]);
}

function chart({ name, version, description }: Project): string {
  return yaml({
    apiVersion: 'v2',
    type: 'application',
    name,
    description,
    version,
    appVersion: version,
    // The oldest with ValidatingAdmissionPolicy that is supported here.
    kubeVersion: '>=1.31.0-0',
    keywords: ['cluster-api', 'bare-metal', 'ssh'],
    annotations: { 'artifacthub.io/license': 'Apache-2.0' },
  });
}

/** What the manager may do: in the namespaces that it watches, in the whole cluster whatever it watches, and for its Lease; and who reads its metrics. */
const rules = () => ({
  watched: rulesOf(RIGHTS.filter(({ own, cluster }) => own !== true && cluster !== true)),
  cluster: rulesOf(RIGHTS.filter(({ cluster }) => cluster === true)),
  own: rulesOf(RIGHTS.filter(({ own }) => own === true)),
  // Stands in the rules for the name that a release gives its Lease.
  leaseName: LEASE_NAME,
  metricsReader: METRICS_READER_RULES,
});

function valuesOf(fields: Fields, indent: string): string {
  return Object.entries(fields)
    .map(([name, field]) => {
      const comment = `${indent}# ${field.description}\n${indent}${name}:`;
      if (field.kind === 'section') return `${comment}\n${valuesOf(field.fields, `${indent}  `)}`;
      const flat = typeof field.default !== 'object' || Object.keys(field.default ?? {}).length === 0;
      if (flat) return `${comment} ${JSON.stringify(field.default)}\n`;
      const lines = stringify(field.default).trimEnd().split('\n');
      return `${comment}\n${lines.map((line) => `${indent}  ${line}\n`).join('')}`;
    })
    .join('');
}

function schemaOf(fields: Fields, top = true): object {
  return {
    ...(top && { $schema: 'http://json-schema.org/draft-07/schema#', title: 'Values' }),
    type: 'object',
    additionalProperties: false,
    // What is null is not there, for Helm. Lists and maps may be emptied so; templates count on everything else.
    required: Object.keys(fields).filter((name) => !isCollection(fields[name])),
    properties: Object.fromEntries([
      ...Object.entries(fields).map(([name, field]) => [
        name,
        { description: field.description, ...(field.kind === 'section' ? schemaOf(field.fields, false) : field.schema) },
      ]),
      // A chart that has this one as a part of it passes these on.
      ...(top ? [['global', { type: 'object' }]] : []),
    ]) as object,
  };
}

const isCollection = (field: Fields[string] | undefined): boolean =>
  field?.kind === 'value' && ['array', 'object'].includes(String(field.schema.type));

function rowsOf(fields: Fields, prefix = ''): string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const key = `${prefix}${name}`;
    if (field.kind === 'section') return [`| \`${key}\` | | ${field.description} |`, ...rowsOf(field.fields, `${key}.`)];
    const initial = JSON.stringify(field.default);
    return [`| \`${key}\` | ${initial === '""' ? '' : `\`${initial}\``} | ${field.description} |`];
  });
}

const readme = ({ name, description }: Project): string => `<!-- Written by \`npm run generate\`. Do not edit. -->

# ${name}

${description}. [The project](../../README.md), and [how to begin](../../docs/getting-started.md).

## Install

The management cluster needs Cluster API's core provider and what makes bootstrap data; nothing else, not even cert-manager.

    helm install ${name} charts/${name} --namespace ${name}-system \\
      --create-namespace --wait --set image.repository=registry.example/${name}
    helm test ${name} --namespace ${name}-system

\`image.repository\` is where you [pushed the image](../../docs/getting-started.md#install); the chart of a release has it already. The check that \`helm test\` runs looks for the kinds, for every right, and for a manager that leads.

- An upgrade brings the changes of the kinds, too: they are part of the release. A rollback takes them back.
- \`helm uninstall\` keeps the kinds and with them all objects, unless \`crds.keep\` was off: then delete all objects first, while the manager is there. A release of the same name in the same namespace takes them over again; another one does with \`--take-ownership\`, as it does with kinds that came by kustomize, clusterctl or k0smotron.
- With \`watchNamespaces\` the manager has Roles in these and no right elsewhere, but to ask who may read its metrics. A second release for other namespaces, or for another \`watchFilter\`, needs \`crds.enabled=false\` and \`policy.enabled=false\`. Each release has a Lease of its own, in one namespace too. Before such a namespace is deleted delete the Clusters and the entries in it: its Roles go at once, and [without them](../../docs/runbooks/RemoteProviderForbidden.md#to-be-known) no host is cleaned.
- [Argo CD](../../docs/argocd.md) applies the kinds first, and does not prune them while \`crds.keep\` is on.
- Metrics are served over HTTPS to whoever has the right: bind the ClusterRole \`<namespace>-<release>-metrics-reader\` to the account of your Prometheus. [Monitoring](../../docs/monitoring.md) has the rest.
- \`clusterctl move\` works between clusters that were installed so: the kinds carry the labels that it looks for.

## Values

| Value | Default | Meaning |
| --- | --- | --- |
${rowsOf(VALUES).join('\n')}
`;
