/** What the chart renders: the real Helm, without a cluster. */
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { LEASE_NAME, RIGHTS } from '../../apis/rights.ts';
import { rulesOf } from '../../apis/generate/rbac.ts';
import { type Manifest, parseYAML } from '../env/client.ts';
import { CHART, Helm } from '../fixtures/helm.ts';

let helm: Helm;
beforeAll(async () => {
  helm = await Helm.find();
});
afterAll(() => rm(helm.folder, { recursive: true }));

interface Container {
  args: string[];
  image: string;
  resources: object;
}
interface PodSpec {
  containers: [Container];
  [field: string]: unknown;
}
const set = (values: Record<string, string>): string[] => Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
const ofKind = (objects: Manifest[], kind: string) => objects.filter((object) => object.kind === kind);
function podOf(objects: Manifest[]): PodSpec {
  const [deployment] = ofKind(objects, 'Deployment');
  return (deployment?.spec as { template: { spec: PodSpec } }).template.spec;
}
const argsOf = (objects: Manifest[]): string[] => podOf(objects).containers[0].args;

test('lint has nothing to say', async () => {
  expect(await helm.must('lint', '--strict', CHART)).toContain('1 chart(s) linted, 0 chart(s) failed');
});

test.each<[string, string[], string]>([
  ['a word for a number', ['--set', 'replicaCount=two'], "at '/replicaCount': got string, want integer"],
  ['a value that there is not', ['--set', 'concurency=5'], "at '': additional properties 'concurency' not allowed"],
  ['one further down', ['--set', 'ssh.maxConnection=5'], "at '/ssh': additional properties 'maxConnection' not allowed"],
  ['a number without a unit', ['--set-string', 'bootstrapTimeout=90'], "at '/bootstrapTimeout': '90' does not match pattern"],
  ['no time at all', ['--set-string', 'bootstrapTimeout=0'], "at '/bootstrapTimeout': '0' does not match pattern '[1-9]'"],
  ['a filter that no label can have', ['--set', 'watchFilter=x #y'], "at '/watchFilter': 'x #y' does not match pattern"],
  [
    'a name that no object can have',
    ['--set', 'serviceAccount.name=My_Name'],
    "at '/serviceAccount/name': 'My_Name' does not match pattern",
  ],
  ['another format', ['--set', 'logging.format=xml'], "at '/logging/format': value must be one of 'json', 'text'"],
  ['no connections', ['--set', 'ssh.maxConnections=0'], "at '/ssh/maxConnections': minimum: got 0, want 1"],
  ['a port too high', ['--set', 'health.port=70000'], "at '/health/port': maximum: got 70,000, want 65,535"],
  ['a namespace that can have no such name', ['--set', 'watchNamespaces={Team}'], "at '/watchNamespaces/0': 'Team' does not match pattern"],
  ['an argument that is no flag', ['--set', 'extraArgs={now}'], "at '/extraArgs/0': 'now' does not match pattern '^-'"],
  ['a name that leaves no room', ['--set', `fullnameOverride=${'f'.repeat(54)}`], "at '/fullnameOverride': maxLength: got 54, want 53"],
  ['two managers that elect nobody', ['--set', 'replicaCount=2,leaderElection.enabled=false'], 'leaderElection.enabled is off'],
  ['a Lease that ends before its leader does', ['--set', 'leaderElection.leaseDuration=10s'], 'leaseDuration (10s) must be longer than'],
  ['a leader that tries but once', ['--set', 'leaderElection.retryPeriod=8400ms'], 'renewDeadline (10s), and that by more than a fifth'],
  ['one port for two', ['--set', 'health.port=8443'], 'health.port and diagnostics.port are both 8443'],
  [
    'a budget that holds every node up',
    ['--set', 'podDisruptionBudget.enabled=true,podDisruptionBudget.maxUnavailable=0'],
    'is 0: no node',
  ],
  ['one that does by a share', ['--set', 'podDisruptionBudget.enabled=true,podDisruptionBudget.maxUnavailable=0%'], 'is 0%: no node'],
  ['a section that is taken away', ['--set', 'leaderElection=null'], "at '': missing property 'leaderElection'"],
  ['such a one further down', ['--set', 'metrics.dashboard=null'], "at '/metrics': missing property 'dashboard'"],
])('%s is refused, and it says why', async (_, args, message) => {
  const { exitCode, stderr } = await helm.run('template', 'capr', CHART, ...args);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain(message);
});

test('lists and maps may be taken away', async () => {
  const collections = ['tolerations', 'podSecurityContext', 'watchNamespaces', 'metrics.dashboard.labels', 'networkPolicy.egress'];
  const enabled = ['--set', 'metrics.dashboard.enabled=true,networkPolicy.enabled=true'];
  const objects = await helm.template(...enabled, ...collections.flatMap((name) => ['--set', `${name}=null`]));
  expect(podOf(objects)['tolerations']).toBeUndefined();
  const [dashboard] = ofKind(objects, 'ConfigMap');
  expect(dashboard?.metadata.labels).toMatchObject({ grafana_dashboard: '1' });
});

test('numbers are written in full', async () => {
  const names = ['concurrency', 'replicaCount', 'terminationGracePeriodSeconds', 'podDisruptionBudget.maxUnavailable', 'logging.verbosity'];
  const numbers = names.flatMap((name) => ['--set-json', `${name}=1000000`]);
  const shown = ['deployment', 'availability'].flatMap((name) => ['--show-only', `templates/${name}.yaml`]);
  const text = await helm.must('template', 'capr', CHART, '--set', 'podDisruptionBudget.enabled=true', ...numbers, ...shown);
  expect(text.match(/\b1000000$/gm)).toHaveLength(names.length);
});

test('names that look like something else are texts for Kubernetes, too', async () => {
  const enabled = ['service', 'serviceMonitor', 'prometheusRule', 'dashboard'].map((name) => `metrics.${name}.enabled=true`);
  const more = ['podDisruptionBudget.enabled=true', 'networkPolicy.enabled=true', 'crds.enabled=false'];
  const names = { watchNamespaces: ['on', '123'], nameOverride: '1e3', priorityClassName: '7', serviceAccount: { name: '8' } };
  const certificate = { certificateSecret: '9' };
  const values = Object.entries({ ...names, diagnostics: certificate }).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const args = [...enabled, ...more].flatMap((value) => ['--set', value]);
  const json = values.flatMap((value) => ['--set-json', value]);
  const text = await helm.must('template', '123', CHART, '--namespace', '456', ...args, ...json);
  // As Kubernetes reads YAML, and with everything a text.
  const [read = [], texts = []] = [{ version: '1.1' as const }, { schema: 'failsafe' as const }].map((options) =>
    parseAllDocuments(text, options).map((document) => document.toJS() as Manifest),
  );
  expect(read.length).toBeGreaterThan(12);
  const named = (objects: Manifest[]) => objects.map(({ metadata, roleRef, subjects }) => ({ metadata, roleRef, subjects }));
  expect(named(read)).toEqual(named(texts));
  const pod = podOf(read);
  expect(pod).toMatchObject({ serviceAccountName: '8', priorityClassName: '7', volumes: [{ secret: { secretName: '9' } }] });
  const [deployment] = ofKind(read, 'Deployment');
  const labels = { 'app.kubernetes.io/name': '1e3', 'app.kubernetes.io/instance': '123' };
  expect(deployment?.spec).toMatchObject({ selector: { matchLabels: labels }, template: { metadata: { labels } } });
});

test('every flag of the manager has a value', async () => {
  const objects = await helm.template(
    ...set({ 'watchNamespaces[0]': 'a', 'watchNamespaces[1]': 'b', watchFilter: 'w', concurrency: '3', bootstrapTimeout: '2h' }),
    ...set({ cleanupDeadline: '0s', 'ssh.connectTimeout': '5s', 'ssh.maxConnections': '1000000', 'ssh.maxConnectionsPerHost': '7' }),
    ...set({ 'ssh.maxConnectionsPerBastion': '8', 'ssh.legacyAlgorithms': 'true', 'logging.format': 'text', 'logging.verbosity': '2' }),
    ...set({ 'logging.runOutput': 'true', 'health.port': '1', 'diagnostics.port': '2', 'diagnostics.insecure': 'true' }),
    ...set({ 'leaderElection.leaseDuration': '9s', 'leaderElection.renewDeadline': '6s', 'leaderElection.retryPeriod': '3s' }),
    ...set({ 'leaderElection.namespace': 'elsewhere', 'leaderElection.leaseName': 'lease', 'extraArgs[0]': '--kubeconfig=file' }),
  );
  const args = argsOf(objects);
  expect(args.filter((arg) => !arg.startsWith('--kubeconfig')).sort()).toEqual(
    [
      ...['--namespace=a,b', '--watch-filter=w', '--leader-elect', '--leader-election-namespace=elsewhere', '--leader-election-id=lease'],
      ...[
        '--health-addr=:1',
        '--diagnostics-address=:2',
        '--insecure-diagnostics',
        '--concurrency=3',
        '--bootstrap-timeout=2h',
        '--cleanup-deadline=0s',
      ],
      ...['--ssh-connect-timeout=5s', '--max-connections=1000000', '--max-connections-per-host=7', '--max-connections-per-bastion=8'],
      ...['--leader-elect-lease-duration=9s', '--leader-elect-renew-deadline=6s', '--leader-elect-retry-period=3s'],
      ...['--ssh-legacy-algorithms', '--log-run-output', '--logging-format=text', '--v=2'],
    ].sort(),
  );
  const { stdout } = spawnSync(process.execPath, [join(CHART, '../../operator/main.ts'), '--help'], { encoding: 'utf8' });
  const known = [...stdout.matchAll(/^ {2}(?:-\w, )?--([a-z-]+)/gm)].map(([, name = '']) => name);
  const given = args.map((arg) => /^--([a-z-]+)/.exec(arg)?.[1]);
  expect(known.filter((name) => !given.includes(name)).sort()).toEqual(['check', 'diagnostics-cert-dir', 'help', 'version']);
});

test('a Pod can be placed, and its image had, as a cluster needs it', async () => {
  const values = {
    resources: { limits: { memory: '2Gi' } },
    tolerations: [{ operator: 'Exists' }],
    nodeSelector: { disk: 'ssd' },
    affinity: { podAntiAffinity: {} },
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }],
    imagePullSecrets: [{ name: 'registry' }],
    priorityClassName: 'system-cluster-critical',
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    terminationGracePeriodSeconds: 20,
  };
  const image = { repository: 'registry.example/remote', digest: `sha256:${'0'.repeat(64)}` };
  const json = Object.entries({ ...values, image }).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
  const pod = podOf(await helm.template(...json));
  const { resources, ...ofPod } = values;
  const { extraVolumes, ...same } = ofPod;
  expect(pod).toMatchObject({ ...same, volumes: extraVolumes });
  expect(pod.containers[0]).toMatchObject({ resources: { ...resources, requests: {} }, image: `${image.repository}@${image.digest}` });
});

test('roles are what the manager declares: in the cluster, or in each namespace that it watches', async () => {
  const named = RIGHTS.map((right) => (right.name === LEASE_NAME ? { ...right, name: 'capr-leader-election' } : right));
  const rules = (own: boolean) => rulesOf(named.filter((right) => (right.own ?? false) === own));
  const ofManager = (objects: Manifest[]) =>
    ofKind(objects, 'ClusterRole')
      .filter(({ metadata }) => metadata.name?.endsWith('-manager'))
      .map((role) => role['rules']);
  const everywhere = await helm.template();
  expect(ofManager(everywhere)).toEqual([rules(false)]);
  expect(ofKind(everywhere, 'Role').map((role) => role['rules'])).toEqual([rules(true)]);

  const some = await helm.template('--set', 'watchNamespaces={a,b}');
  const places = ofKind(some, 'Role').map(({ metadata }) => metadata.namespace);
  expect(places).toEqual(['a', 'b', 'capr-system']);
  expect(ofKind(some, 'RoleBinding').map(({ metadata }) => metadata.namespace)).toEqual(places);
  expect(ofKind(some, 'Role').at(0)?.['rules']).toEqual(rulesOf(RIGHTS.filter(({ own, cluster }) => own !== true && cluster !== true)));
  // Only what has no namespace.
  const cluster = rulesOf(RIGHTS.filter((right) => right.cluster === true));
  expect(ofManager(some)).toEqual([cluster]);

  // Nobody asks who may have what everybody may have.
  const insecure = ['--set', 'diagnostics.insecure=true'];
  const withoutReviews = rulesOf(named.filter((right) => right.own !== true && right.cluster !== true));
  expect(ofManager(await helm.template(...insecure))).toEqual([withoutReviews]);
  const least = await helm.template(...insecure, '--set', 'watchNamespaces={a,b},crds.enabled=false,policy.enabled=false');
  expect(least.filter(({ metadata }) => metadata.namespace === undefined)).toEqual([]);
});

test('a manager that leads without being elected has ended before the next one starts', async () => {
  const strategyOf = (objects: Manifest[]) => (ofKind(objects, 'Deployment')[0]?.spec as { strategy?: object }).strategy;
  expect(strategyOf(await helm.template('--set', 'leaderElection.enabled=false'))).toEqual({ type: 'Recreate' });
  expect(strategyOf(await helm.template())).toMatchObject({ type: 'RollingUpdate' });
});

test('metrics are for whoever is bound to a role that nobody has yet', async () => {
  const objects = await helm.template();
  const role = { nonResourceURLs: ['/metrics'], verbs: ['get'] };
  const [reader] = ofKind(objects, 'ClusterRole').filter(({ metadata }) => metadata.name?.endsWith('-metrics-reader'));
  expect(reader?.['rules']).toEqual([role]);
  const bound = ofKind(objects, 'ClusterRoleBinding').map((binding) => (binding['roleRef'] as { name: string }).name);
  expect(bound).not.toContain(reader?.metadata.name);
  const monitored = (...args: string[]) => helm.template('--set', 'metrics.serviceMonitor.enabled=true', ...args);
  const endpointOf = (all: Manifest[]) => (ofKind(all, 'ServiceMonitor')[0]?.spec as { endpoints: [object] }).endpoints[0];
  const token = { bearerTokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' };
  expect(endpointOf(await monitored())).toMatchObject({ scheme: 'https', ...token, tlsConfig: { insecureSkipVerify: true } });
  expect(endpointOf(await monitored('--set', 'diagnostics.insecure=true'))).not.toHaveProperty('bearerTokenFile');
  const authorization = { credentials: { name: 'metrics-reader', key: 'token' } };
  const proven = endpointOf(await monitored('--set-json', `metrics.serviceMonitor.authorization=${JSON.stringify(authorization)}`));
  expect(proven).toMatchObject({ authorization });
  expect(proven).not.toHaveProperty('bearerTokenFile');
});

test('a certificate of the cluster’s own is mounted and named', async () => {
  const objects = await helm.template(...set({ 'diagnostics.certificateSecret': 'certificate', 'extraVolumes[0].name': 'more' }));
  expect(argsOf(objects)).toContain('--diagnostics-cert-dir=/diagnostics-certificate');
  const { volumes, containers } = podOf(objects);
  const name = 'diagnostics-certificate';
  expect(volumes).toEqual([{ name, secret: { secretName: 'certificate' } }, { name: 'more' }]);
  expect(containers[0]).toMatchObject({ volumeMounts: [{ name, mountPath: '/diagnostics-certificate', readOnly: true }] });
});

test('alerts name runbooks where they are served', async () => {
  const text = JSON.stringify(
    await helm.template(...set({ 'metrics.prometheusRule.enabled': 'true', 'metrics.prometheusRule.runbooks': 'https://x.example/' })),
  );
  expect(text).toMatch(/"runbook_url":"https:\/\/x\.example\/RemoteProviderWithoutLeader\.md"/);
});

test('two releases share no object without a namespace but the kinds, and can leave these and the policy to one of them', async () => {
  const names = async (namespace: string, ...more: string[]) => {
    const objects = await helm.template('--namespace', namespace, ...more);
    return objects.filter(({ metadata }) => metadata.namespace === undefined).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  };
  const [one, two] = await Promise.all([names('one'), names('two')]);
  expect(one.filter((name) => two.includes(name)).every((name) => name.startsWith('CustomResourceDefinition '))).toBe(true);
  const least = await names('three', '--set', 'crds.enabled=false,policy.enabled=false,rbac.create=false');
  expect(least).toEqual([]);
});

test('no release stands by for another one', async () => {
  const lease = async (release: string, namespace: string, ...values: string[]) => {
    const objects = parseYAML(await helm.must('template', release, CHART, '--namespace', namespace, ...values));
    const [, name] = argsOf(objects).flatMap((arg) => /^--leader-election-id=(.*)$/.exec(arg) ?? []);
    const [role] = ofKind(objects, 'Role');
    const ofLeases = role?.['rules'] as { resourceNames?: string[] }[];
    expect(ofLeases.map(({ resourceNames }) => resourceNames)).toContainEqual([name]);
    expect((ofKind(objects, 'Pod')[0]?.spec as PodSpec).containers[0].args).toContain(`--leader-election-id=${name}`);
    return [role?.metadata.namespace, role?.metadata.name, name].join(' ');
  };
  expect(await lease('a', 'one')).toBe('one a-leader-election a-leader-election');
  const elsewhere = ['--set', 'leaderElection.namespace=leases'];
  const all = [lease('a', 'one'), lease('b', 'one'), lease('a', 'one', ...elsewhere), lease('a', 'two', ...elsewhere)];
  expect(new Set(await Promise.all(all)).size).toBe(4);
});

test('Argo CD applies the kinds first and prunes none, unless they are not to be kept', async () => {
  const marks = async (...values: string[]) =>
    ofKind(await helm.template(...values), 'CustomResourceDefinition').map(({ metadata }) => metadata.annotations);
  const wave = { 'argocd.argoproj.io/sync-wave': '-1' };
  const kept = { ...wave, 'argocd.argoproj.io/sync-options': 'Prune=false', 'helm.sh/resource-policy': 'keep' };
  expect(await marks()).toEqual(Array(5).fill(kept));
  expect(await marks('--set', 'crds.keep=false')).toEqual(Array(5).fill(wave));
});

test('nothing that selects managers finds the Pod of the check', async () => {
  const [check] = ofKind(await helm.template(), 'Pod');
  expect(check?.metadata.labels).toMatchObject({ 'app.kubernetes.io/name': 'cluster-api-provider-remote-check' });
  const long = { nameOverride: 'n'.repeat(63), fullnameOverride: 'f'.repeat(53) };
  const [another] = ofKind(await helm.template(...set(long)), 'Pod');
  expect(another?.metadata.labels).toMatchObject({ 'app.kubernetes.io/name': `${'n'.repeat(57)}-check` });
});

test('everything is labelled as of this provider', async () => {
  for (const { metadata } of await helm.template())
    expect(metadata.labels).toMatchObject({ 'cluster.x-k8s.io/provider': 'infrastructure-remote', 'app.kubernetes.io/instance': 'capr' });
});
