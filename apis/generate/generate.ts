/** Every generated file, by its path in the repository. */
import { readFileSync } from 'node:fs';
import * as babel from 'prettier/plugins/babel';
import * as estree from 'prettier/plugins/estree';
import * as markdown from 'prettier/plugins/markdown';
import * as yaml from 'prettier/plugins/yaml';
import { format } from 'prettier/standalone';
import { parse, stringify } from 'yaml';
import { cloudConfigReference } from '../../operator/bootstrap/cloud-config/reference.ts';
import { ignitionReference } from '../../operator/bootstrap/ignition/reference.ts';
import { GROUP } from '../infrastructure/group.ts';
import { chartFiles } from './chart/chart.ts';
import { customResourceDefinition } from './crd.ts';
import { KINDS } from './kinds.ts';
import { metricsReference } from './metrics.ts';
import { leaderElectionRole, managerRole, metricsReaderRole, rightsReference } from './rbac.ts';
import { apiReference, conditionsReference } from './reference.ts';
import { terminal } from './terminal.ts';

const HEADER = '# Written by `npm run generate`. Do not edit.\n';

const documents = (objects: object[]): string =>
  HEADER + objects.map((object) => stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 })).join('---\n');

export async function generate(): Promise<Map<string, string>> {
  const files: [string, string][] = [
    ...KINDS.map((kind): [string, string] => [`manifests/crds/${GROUP}_${kind.plural}.yaml`, documents([customResourceDefinition(kind)])]),
    ['manifests/manager/kustomization.yaml', managerBase()],
    ['manifests/monitoring/prometheus-rule.yaml', prometheusRule()],
    ['manifests/rbac/manager.yaml', documents(managerRole())],
    ['manifests/rbac/leader-election.yaml', documents(leaderElectionRole())],
    ['manifests/rbac/metrics-reader.yaml', documents([metricsReaderRole()])],
    ['docs/reference/rights.md', rightsReference()],
    ['docs/reference/metrics.md', await metricsReference()],
    ['docs/reference/api.md', apiReference(KINDS)],
    ['docs/reference/conditions.md', conditionsReference()],
    ...chartFiles(),
    ['docs/reference/cloud-config.md', cloudConfigReference()],
    ['docs/reference/ignition.md', ignitionReference()],
    ['docs/images/describe-cluster.svg', terminal('clusterctl.md', 'See how it is')],
  ];
  return new Map(await Promise.all(files.map(async ([name, text]): Promise<[string, string]> => [name, await formatted(name, text)])));
}

/** The base with the Deployment: its image carries the version of package.json. */
function managerBase(): string {
  const { name, version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as Record<string, string>;
  return documents([
    {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      namespace: 'cluster-api-provider-remote-system',
      labels: [{ pairs: { 'cluster.x-k8s.io/provider': 'infrastructure-remote' }, includeTemplates: true }],
      resources: ['namespace.yaml', 'deployment.yaml'],
      images: [{ name, newTag: `v${version}` }],
    },
  ]);
}

/** manifests/monitoring/alerts.yaml as the Prometheus operator takes it. */
function prometheusRule(): string {
  const alerts = parse(readFileSync(new URL('../../manifests/monitoring/alerts.yaml', import.meta.url), 'utf8')) as object;
  const labels = { 'cluster.x-k8s.io/provider': 'infrastructure-remote' };
  const metadata = { name: 'cluster-api-provider-remote', namespace: 'cluster-api-provider-remote-system', labels };
  return documents([{ apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata, spec: alerts }]);
}

/** As `npm run format` would leave it, so that the two never disagree. */
const formatted = async (name: string, text: string): Promise<string> =>
  name.endsWith('.svg')
    ? text
    : format(text, { filepath: name, plugins: [markdown, yaml, babel, estree], printWidth: 140, singleQuote: true });
