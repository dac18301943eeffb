/** Every value of the chart: its default, what it is for, and what it may be. values.yaml, values.schema.json and README.md follow from it. */

/** Of JSON Schema (draft 7), as Helm takes it. */
export interface ValueSchema {
  type?: string | string[];
  [keyword: string]: unknown;
}

export interface Value {
  kind: 'value';
  default: unknown;
  description: string;
  schema: ValueSchema;
}

export interface Section {
  kind: 'section';
  description: string;
  fields: Fields;
}

export interface Fields {
  [name: string]: Value | Section;
}

const value = (initial: unknown, description: string, schema: ValueSchema): Value => ({
  kind: 'value',
  default: initial,
  description,
  schema,
});
const section = (description: string, fields: Fields): Section => ({ kind: 'section', description, fields });

const text = (initial: string, description: string, more: ValueSchema = {}): Value =>
  value(initial, description, { type: 'string', ...more });
const flag = (initial: boolean, description: string): Value => value(initial, description, { type: 'boolean' });
const count = (initial: number, description: string, minimum = 1): Value => value(initial, description, { type: 'integer', minimum });
const port = (initial: number, description: string): Value => value(initial, description, { type: 'integer', minimum: 1, maximum: 65535 });
const object = (description: string, initial: object = {}): Value => value(initial, description, { type: 'object' });
const strings = (description: string): Value => value({}, description, { type: 'object', additionalProperties: { type: 'string' } });
const objects = (description: string, initial: object[] = []): Value =>
  value(initial, description, { type: 'array', items: { type: 'object' } });

/** As the flags take it. */
const duration = (initial: string, description: string, more: ValueSchema = {}): Value =>
  text(initial, `${description} Such as \`90s\`, \`10m\` or \`1h30m\`.`, { pattern: '^(0|([0-9]+(\\.[0-9]+)?(h|m|s|ms))+)$', ...more });
/** A second pattern, as those of Go cannot look ahead. */
const positiveDuration = (initial: string, description: string): Value => duration(initial, description, { allOf: [{ pattern: '[1-9]' }] });
/** As the Prometheus operator takes it: whole numbers, each unit once. */
const PROMETHEUS_DURATION = { pattern: '^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$', minLength: 1 };
const NAMESPACE = { pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 };
/** Each of these may be empty. */
const LABEL_VALUE = { pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$', maxLength: 63 };
const OBJECT_NAME = { pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$', maxLength: 253 };

const restricted = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };
const account = { runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: { type: 'RuntimeDefault' } };

const what: Fields = {
  watchNamespaces: value(
    [],
    'Namespaces to watch, which must be there; empty: all. The manager then has Roles in these, and a ClusterRole only to ask who may read its metrics.',
    {
      type: 'array',
      uniqueItems: true,
      items: { type: 'string', ...NAMESPACE },
    },
  ),
  watchFilter: text('', 'See only to objects whose label `cluster.x-k8s.io/watch-filter` has this value; empty: to all.', LABEL_VALUE),
  concurrency: count(10, 'Objects of each kind that are reconciled at once. What takes time on a host runs beside that.'),
  bootstrapTimeout: positiveDuration('1h', 'Longest time of a bootstrap.'),
  cleanupDeadline: duration('10m', 'Time after which a machine goes although its host could not be cleaned; `0`: never.'),
  ssh: section('Connections to hosts.', {
    connectTimeout: positiveDuration('20s', 'Longest time for connecting to one host or bastion.'),
    maxConnections: count(2000, 'Connections at once.'),
    maxConnectionsPerHost: count(2, 'Connections to one host at once.'),
    maxConnectionsPerBastion: count(100, 'Connections through one bastion at once.'),
    legacyAlgorithms: flag(false, 'Offer algorithms that OpenSSH has disabled.'),
  }),
  logging: section('The log, on standard error.', {
    format: text('json', 'Form of the log.', { enum: ['json', 'text'] }),
    verbosity: count(0, 'From 2 on with debug lines and stack traces.', 0),
    runOutput: flag(false, 'Log what runs on hosts print, with secrets removed.'),
  }),
  extraArgs: value([], 'More flags, as they are.', { type: 'array', items: { type: 'string', pattern: '^-' } }),
  extraEnv: objects('More environment variables.'),
};

const parts: Fields = {
  crds: section('The kinds. They are part of the release, so that an upgrade brings their changes.', {
    enabled: flag(true, 'Install them. Off where another release, clusterctl or Argo CD does.'),
    keep: flag(
      true,
      'Keep them, and with them every object, when the release is uninstalled or Argo CD prunes. Off: the manager must go last, so delete all objects before; else the kinds wait for objects whose hosts nobody cleans any more.',
    ),
  }),
  policy: section('The admission policy that keeps templates as they are; it is for the whole cluster.', {
    enabled: flag(true, 'Install it. Off where another release does.'),
  }),
  rbac: section('Roles and their bindings.', { create: flag(true, 'Make them.') }),
  serviceAccount: section('The account of the manager.', {
    create: flag(true, 'Make it.'),
    name: text('', 'Its name, if it is not that of the release.', OBJECT_NAME),
    annotations: strings('Its annotations.'),
  }),
};

/** Two that do not look at one Lease would both work. */
const OTHER_LEASE = 'No manager may run while it is changed: set replicaCount to 0 before.';

const running: Fields = {
  replicaCount: count(1, 'Managers. One leads; the others stand by, which takes leaderElection.enabled.', 0),
  leaderElection: section('Leading by a Lease.', {
    enabled: flag(true, `Lead by a Lease before doing anything. ${OTHER_LEASE}`),
    leaseName: text('', `Name of the Lease; empty: \`<release>-leader-election\`. ${OTHER_LEASE}`, OBJECT_NAME),
    namespace: text('', `Namespace of the Lease; empty: that of the release. ${OTHER_LEASE}`, {
      pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$',
      maxLength: 63,
    }),
    leaseDuration: positiveDuration('15s', "Time after which a Lease that its leader does not renew is another one's."),
    renewDeadline: positiveDuration('10s', 'Time without a renewal after which the leader ends itself; less than the duration.'),
    retryPeriod: positiveDuration(
      '2s',
      'Time between two attempts to take or renew the Lease; the renew deadline is longer by more than a fifth.',
    ),
  }),
  image: section('The image.', {
    repository: text('cluster-api-provider-remote', 'Where it is.', { minLength: 1 }),
    tag: text('', 'Its tag, if it is not the version of the chart.'),
    digest: text('', 'Its digest, which wins over the tag.', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
    pullPolicy: text('IfNotPresent', 'When it is pulled.', { enum: ['Always', 'IfNotPresent', 'Never'] }),
  }),
  imagePullSecrets: value([], 'Secrets to pull it with, by name.', {
    type: 'array',
    items: { type: 'object', required: ['name'], additionalProperties: false, properties: { name: { type: 'string', minLength: 1 } } },
  }),
  nameOverride: text(
    '',
    'Name of the application in labels, if it is not that of the chart. An upgrade cannot change it: a Deployment keeps its selector.',
    LABEL_VALUE,
  ),
  // As Services are named, and as long as the name of a release may be: with a word more it must not have more than 63 characters.
  fullnameOverride: text('', `Name of the objects, if it is not that of the release; the Lease is named after it. ${OTHER_LEASE}`, {
    pattern: '^([a-z]([-a-z0-9]*[a-z0-9])?)?$',
    maxLength: 53,
  }),
  resources: object('Requests and limits.', { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '1Gi' } }),
  terminationGracePeriodSeconds: count(15, 'Time to end in order; runs go on on their hosts.', 1),
  podSecurityContext: object('Security context of the Pod.', account),
  securityContext: object('Security context of the container.', restricted),
  podLabels: strings('More labels of the Pod.'),
  podAnnotations: strings('Annotations of the Pod.'),
  priorityClassName: text('', 'Priority class of the Pod.', OBJECT_NAME),
  nodeSelector: strings('Nodes that the Pod may run on.'),
  tolerations: objects('Taints that the Pod bears.', [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }]),
  affinity: object('Affinity of the Pod.'),
  topologySpreadConstraints: objects('How several managers are spread.'),
  extraVolumes: objects('More volumes of the Pod.'),
  extraVolumeMounts: objects('More mounts of the container.'),
  podDisruptionBudget: section('Keeps a manager there while nodes are drained.', {
    enabled: flag(false, 'Make it. It helps with two replicas or more.'),
    maxUnavailable: value(1, 'Managers that may be away.', {
      type: ['integer', 'string'],
      minimum: 0,
      pattern: '^(100|[1-9]?[0-9])%$',
    }),
  }),
};

const observing: Fields = {
  health: section('Probes.', { port: port(9440, 'Port of /healthz and /readyz.') }),
  diagnostics: section('Metrics, and the level of the log; over HTTPS to whoever has the right.', {
    port: port(8443, 'Port of /metrics and /debug/flags/v.'),
    insecure: flag(false, 'Serve the metrics, and nothing else, over plain HTTP to everyone.'),
    certificateSecret: text(
      '',
      'Secret with tls.crt and tls.key, such as cert-manager makes it; empty: the manager makes a certificate at its start.',
      OBJECT_NAME,
    ),
  }),
  metrics: section('What collects and shows the metrics.', {
    service: section('A Service for them.', { enabled: flag(false, 'Make it.'), annotations: strings('Its annotations.') }),
    serviceMonitor: section('Tells the Prometheus operator to collect them; makes the Service, too.', {
      enabled: flag(false, 'Make it.'),
      labels: strings('Labels by which a Prometheus chooses it.'),
      interval: text('30s', 'Time between collections. Such as `30s` or `1m30s`.', PROMETHEUS_DURATION),
      authorization: object(
        "How Prometheus proves who it is (authorization of the endpoint: a token in a Secret); empty: by its own account's token (bearerTokenFile).",
      ),
      // Empty, here and elsewhere where there is a default: Helm would merge that into what is given.
      tlsConfig: object(
        'How the certificate is verified, where diagnostics.certificateSecret is set (tlsConfig of the endpoint); empty: not at all (insecureSkipVerify).',
      ),
    }),
    prometheusRule: section('Alerts, for the Prometheus operator.', {
      enabled: flag(false, 'Make them.'),
      labels: strings('Labels by which a Prometheus chooses them.'),
      runbooks: text('docs/runbooks', 'Where the runbooks are to be had that the alerts name: the project has them in docs/runbooks.', {
        minLength: 1,
      }),
    }),
    dashboard: section('A Grafana dashboard, as a ConfigMap that its sidecar loads.', {
      enabled: flag(false, 'Make it.'),
      labels: strings("Labels by which Grafana chooses it; empty: `grafana_dashboard: '1'`."),
      annotations: strings('Annotations, such as its folder.'),
    }),
  }),
  networkPolicy: section('Lets in only what the manager serves.', {
    enabled: flag(false, 'Make it.'),
    metricsFrom: objects('Peers that may read the metrics; empty: all. Probes come from nodes and are let in.'),
    egress: objects('Rules for what the manager connects to: API servers, hosts, bastions, DNS. Empty: it may connect to anything.'),
  }),
};

/** In the order of values.yaml. */
export const VALUES: Fields = { ...what, ...running, ...observing, ...parts };
