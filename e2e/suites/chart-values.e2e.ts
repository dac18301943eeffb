/** The chart with every value set: each shows where it belongs, and the API server takes all of it, strictly. */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Fields, VALUES } from '../../apis/generate/chart/values.ts';
import type { Manifest } from '../env/client.ts';
import { dryRun } from '../fixtures/dry-run.ts';
import { CHART, Helm } from '../fixtures/helm.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('chart-values');

const labels = { team: 'metal' };
const annotations = { 'example.com/note': 'here: "and" there' };
/** As people would set them. */
const values = {
  watchFilter: 'one',
  concurrency: 3,
  bootstrapTimeout: '2h',
  cleanupDeadline: '0',
  ssh: { connectTimeout: '5s', maxConnections: 1_000_000, maxConnectionsPerHost: 7, maxConnectionsPerBastion: 8, legacyAlgorithms: true },
  logging: { format: 'text', verbosity: 2, runOutput: true },
  extraArgs: ['--kubeconfig='],
  extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy.example:3128' }],
  replicaCount: 2,
  leaderElection: { leaseName: 'lease', leaseDuration: '9s', renewDeadline: '6s', retryPeriod: '3s' },
  image: { repository: 'registry.example/remote', tag: 'later', digest: `sha256:${'0'.repeat(64)}`, pullPolicy: 'Always' },
  imagePullSecrets: [{ name: 'registry' }],
  nameOverride: 'another',
  fullnameOverride: 'full',
  resources: { limits: { cpu: '1', memory: '2Gi' } },
  terminationGracePeriodSeconds: 20,
  podSecurityContext: { runAsNonRoot: true, runAsUser: 1000 },
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  podLabels: labels,
  podAnnotations: annotations,
  priorityClassName: 'system-cluster-critical',
  nodeSelector: { disk: 'ssd' },
  tolerations: [{ operator: 'Exists' }],
  affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: labels } },
  ],
  extraVolumes: [{ name: 'more', emptyDir: {} }],
  extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
  podDisruptionBudget: { enabled: true, maxUnavailable: '50%' },
  health: { port: 9441 },
  diagnostics: { port: 8444, certificateSecret: 'certificate' },
  metrics: {
    service: { enabled: true, annotations },
    serviceMonitor: {
      enabled: true,
      labels,
      interval: '1m',
      authorization: { credentials: { name: 'a', key: 'b' } },
      tlsConfig: { serverName: 'full' },
    },
    prometheusRule: { enabled: true, labels, runbooks: 'https://runbooks.example' },
    dashboard: { enabled: true, labels: { dashboard: 'yes' }, annotations },
  },
  networkPolicy: {
    enabled: true,
    metricsFrom: [{ namespaceSelector: { matchLabels: labels } }],
    egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24' } }], ports: [{ port: 22, protocol: 'TCP' }] }],
  },
  serviceAccount: { name: 'account', annotations },
};
/** Off, they leave out what is looked at here; or they exclude others that are set. */
const asTheyAre = [
  ...['crds.enabled', 'crds.keep', 'policy.enabled', 'rbac.create', 'serviceAccount.create'],
  ...['leaderElection.enabled', 'leaderElection.namespace', 'diagnostics.insecure'],
];

let helm: Helm;
let objects: Manifest[];
beforeAll(async () => {
  helm = await Helm.find();
  const { namespace } = environment();
  const all = { ...values, watchNamespaces: [namespace] };
  const json = Object.entries(all).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
  objects = await helm.template('--namespace', namespace, ...json);
});
afterAll(() => rm(helm.folder, { recursive: true }));

/** Paths of the values that no section groups. */
const pathsOf = (fields: Fields, prefix = ''): string[] =>
  Object.entries(fields).flatMap(([name, field]) =>
    field.kind === 'section' ? pathsOf(field.fields, `${prefix}${name}.`) : [prefix + name],
  );
const valueAt = (path: string): unknown =>
  path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], values);

test('every value is set, to something else than it is', () => {
  const left = pathsOf(VALUES).filter((path) => valueAt(path) === undefined && path !== 'watchNamespaces');
  expect(left.sort()).toEqual([...asTheyAre].sort());
  const defaults = (path: string): unknown =>
    path.split('.').reduce<unknown>((fields, name) => {
      const field = (fields as Fields)[name];
      return field?.kind === 'section' ? field.fields : field?.default;
    }, VALUES);
  expect(pathsOf(VALUES).filter((path) => JSON.stringify(defaults(path)) === JSON.stringify(valueAt(path)))).toEqual([]);
});

const the = (kind: string, name = ''): Manifest => {
  const found = objects.filter((object) => object.kind === kind && (object.metadata.name ?? '').endsWith(name));
  if (found.length !== 1) throw new Error(`there are ${found.length} of ${kind} ${name}`);
  return found[0] as Manifest;
};
interface PodTemplate {
  metadata: object;
  spec: { containers: [object]; [field: string]: unknown };
}

test('the Pod of the manager has what is for it, and that of the check what it needs of that', () => {
  const { spec } = the('Deployment') as { spec: { replicas: number; template: PodTemplate } };
  const { template, replicas } = spec;
  expect(replicas).toBe(values.replicaCount);
  expect(template.metadata).toMatchObject({ labels: { ...labels, 'app.kubernetes.io/name': 'another' }, annotations });
  const { repository, digest, pullPolicy } = values.image;
  const place = { nodeSelector: values.nodeSelector, tolerations: values.tolerations, imagePullSecrets: values.imagePullSecrets };
  const more = { name: 'more', emptyDir: {} };
  const certificate = { name: 'diagnostics-certificate', secret: { secretName: 'certificate' } };
  const { affinity, topologySpreadConstraints, priorityClassName, terminationGracePeriodSeconds } = values;
  expect(template.spec).toMatchObject({
    ...{ ...place, affinity, topologySpreadConstraints, priorityClassName, terminationGracePeriodSeconds },
    ...{ serviceAccountName: 'account', securityContext: values.podSecurityContext, volumes: [certificate, more] },
  });
  const container = { image: `${repository}@${digest}`, imagePullPolicy: pullPolicy, env: values.extraEnv, resources: values.resources };
  expect(template.spec.containers[0]).toMatchObject({
    ...{ ...container, securityContext: values.securityContext },
    volumeMounts: [{ name: 'diagnostics-certificate', mountPath: '/diagnostics-certificate', readOnly: true }, ...values.extraVolumeMounts],
    ports: [{ containerPort: values.health.port }, { containerPort: values.diagnostics.port }],
  });
  const check = the('Pod').spec as PodTemplate['spec'];
  expect(check).toMatchObject({ ...place, serviceAccountName: 'account', volumes: [more] });
  expect(check.containers[0]).toMatchObject({ ...container, volumeMounts: values.extraVolumeMounts });
});

test('its account, its budget and its network policy', () => {
  expect(the('ServiceAccount').metadata).toMatchObject({ name: 'account', annotations });
  const bindings = objects.filter(({ kind }) => kind.endsWith('RoleBinding'));
  expect(bindings.map(({ subjects }) => (subjects as [{ name: string }])[0].name)).toEqual(['account', 'account', 'account']);
  const selector = { 'app.kubernetes.io/name': 'another', 'app.kubernetes.io/instance': 'capr' };
  expect(the('PodDisruptionBudget').spec).toEqual({ maxUnavailable: '50%', selector: { matchLabels: selector } });
  const { metricsFrom, egress } = values.networkPolicy;
  expect(the('NetworkPolicy').spec).toEqual({
    podSelector: { matchLabels: selector },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ ports: [{ port: 'health' }] }, { ports: [{ port: 'diagnostics' }], from: metricsFrom }],
    egress,
  });
});

test('what collects and shows the metrics', () => {
  const { service, serviceMonitor, prometheusRule, dashboard } = values.metrics;
  expect(the('Service')).toMatchObject({
    metadata: { name: 'full-metrics', annotations: service.annotations },
    spec: { ports: [{ port: 8444 }] },
  });
  const { interval, authorization, tlsConfig } = serviceMonitor;
  expect(the('ServiceMonitor')).toMatchObject({ metadata: { labels }, spec: { endpoints: [{ interval, authorization }] } });
  // And nothing of the defaults, which verify nothing.
  const { endpoints } = the('ServiceMonitor').spec as { endpoints: [{ tlsConfig: object }] };
  expect(endpoints[0].tlsConfig).toEqual(tlsConfig);
  expect(the('PrometheusRule').metadata.labels).toMatchObject(labels);
  expect(JSON.stringify(the('PrometheusRule'))).toContain(`"runbook_url":"${prometheusRule.runbooks}/`);
  const shown = the('ConfigMap');
  expect(shown.metadata).toMatchObject({ name: 'full-dashboard', labels: dashboard.labels, annotations });
  expect(shown.metadata.labels).not.toHaveProperty('grafana_dashboard');
  const [text = ''] = Object.values(shown.data ?? {});
  expect(JSON.parse(text)).toEqual(JSON.parse(readFileSync(join(CHART, 'files/dashboard.json'), 'utf8')));
});

/** What whoever installs it is told. */
function notes(...args: string[]): Promise<string> {
  const { kubeconfig } = environment().controlPlane;
  // Those of the managers of other suites are there.
  const others = ['--set', 'crds.enabled=false,policy.enabled=false'];
  return helm.must('install', 'capr', CHART, '--dry-run=client', '--kubeconfig', kubeconfig, ...others, ...args);
}

test('the label is named without which nothing is seen to', async () => {
  const filtered = await notes('--set', 'watchFilter=one');
  expect(filtered).toContain('all namespaces, where objects have the label cluster.x-k8s.io/watch-filter: one.\n');
  expect(filtered).toContain('  labels:\n         cluster.x-k8s.io/watch-filter: "one"\n     spec:\n');
  expect(await notes()).not.toContain('watch-filter');
});

test('whoever installs it is told that everybody may read the metrics, if so', async () => {
  const warning = 'Metrics are served without TLS and authentication to everyone';
  expect(await notes('--set', 'diagnostics.insecure=true')).toContain(warning);
  expect(await notes()).not.toContain(warning);
});

test('the API server takes everything of its own kinds, and would warn of nothing', async () => {
  const { namespace, client, controlPlane } = environment();
  // A dry run leaves none for the Pod of the check.
  await client.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name: values.serviceAccount.name } });
  const own = objects.filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.coreos.com/'));
  const { exitCode, stderr, stdout } = await dryRun(controlPlane, own);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout.trim().split('\n')).toHaveLength(own.length);
  const { spec } = the('NetworkPolicy') as { spec: object };
  const wrong = await dryRun(controlPlane, [{ ...the('NetworkPolicy'), spec: { ...spec, ingres: [] } }]);
  expect(wrong.stderr).toContain('.spec.ingres: field not declared');
});
