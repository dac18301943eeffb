/** Alerts and dashboard as people use them: by promtool, and by a Prometheus that collects the metrics of a manager at work. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { rulesOf } from '../../apis/generate/rbac.ts';
import { RIGHTS } from '../../apis/rights.ts';
import { findPrograms } from '../env/binaries.ts';
import { parseYAML } from '../env/client.ts';
import { must, run } from '../env/command.ts';
import { MANAGER } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import { type Prometheus, prometheusPrograms, startPrometheus } from '../env/prometheus.ts';
import { forgetReaders, reader } from '../fixtures/diagnostics.ts';
import { counting, Objects } from '../fixtures/objects.ts';
import { isReady } from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('monitoring');
const monitoring = join(import.meta.dirname, '../../manifests/monitoring');
const alerts = join(monitoring, 'alerts.yaml');
const JOB = 'cluster-api-provider-remote';

let promtool: string;
let prometheus: Prometheus;
/** Not everything has been started where something fails. */
const started: Prometheus[] = [];
let objects: Objects;
let hosts: Host[];
let folder: string;
beforeAll(async () => {
  const { namespace, createHosts, state } = environment();
  objects = new Objects(namespace);
  folder = join(state.run.folder, `prometheus-${namespace}`);
  await mkdir(folder, { recursive: true });
  [{ promtool }, hosts] = await Promise.all([prometheusPrograms(), createHosts(2)]);
});
afterAll(async () => {
  for (const one of started) await one.process.stop();
  await forgetReaders(environment());
});

test('promtool takes the rules, also as the Prometheus operator gets them', async () => {
  expect(await must(promtool, ['check', 'rules', '--lint-fatal', alerts])).toMatch(/SUCCESS: \d+ rules found/);
  const { kubectl } = await findPrograms(['kubectl'], () => undefined);
  const overlay = join(folder, 'overlay');
  await mkdir(overlay);
  await writeFile(join(overlay, 'kustomization.yaml'), JSON.stringify({ components: ['../monitoring'] }));
  await must('cp', ['-r', monitoring, join(folder, 'monitoring')]);
  const built = parseYAML(await must(kubectl, ['kustomize', overlay]));
  const rule = built.find(({ kind }) => kind === 'PrometheusRule');
  const extracted = join(folder, 'extracted.yaml');
  await writeFile(extracted, stringify(rule?.spec));
  expect(await must(promtool, ['check', 'rules', '--lint-fatal', extracted])).toMatch(/SUCCESS: \d+ rules found/);
  expect(parse(await readFile(extracted, 'utf8'))).toEqual(parse(await readFile(alerts, 'utf8')));
});

test('each alert is raised by the series that it is for, and by no others', async () => {
  expect(await must(promtool, ['test', 'rules', join(monitoring, 'alerts_test.yaml')])).toContain('SUCCESS');
});

test('the dashboard is one by the schema that Grafana publishes, read strictly', async () => {
  const program = (await findPrograms(['grafana-dashboard'], () => undefined))['grafana-dashboard'];
  const text = await readFile(join(monitoring, 'dashboard.json'), 'utf8');
  const { panels } = JSON.parse(text) as { panels: object[] };
  expect(await must(program, [], { input: text })).toBe(`${panels.length} panels\n`);
  const { exitCode, stderr } = await run(program, [], { input: text.replace('"gridPos"', '"gridPosition"') });
  expect(exitCode).toBe(1);
  expect(stderr).toContain('gridPosition');
});

/** As in docs/monitoring.md, but for where the manager is. */
async function configure(target: string): Promise<string> {
  const token = await reader(environment(), 'prometheus', ['cluster-api-provider-remote-system-metrics-reader']);
  await writeFile(join(folder, 'token'), token, { mode: 0o600 });
  const page = await readFile(join(import.meta.dirname, '../../docs/monitoring.md'), 'utf8');
  const [, example = ''] = /```yaml\n( +- job_name:[\s\S]*?)```/.exec(page) ?? [];
  const [job] = parse(example) as [Record<string, unknown>];
  expect(job).toMatchObject({ job_name: JOB, scheme: 'https', tls_config: { insecure_skip_verify: true } });
  const { kubernetes_sd_configs: discovery, relabel_configs: relabel, ...rest } = job;
  expect([discovery, relabel]).not.toContain(undefined);
  const config = join(folder, 'prometheus.yml');
  const scrape = { ...rest, authorization: { credentials_file: join(folder, 'token') }, static_configs: [{ targets: [target] }] };
  await writeFile(config, stringify({ global: { scrape_interval: '1s' }, rule_files: [alerts], scrape_configs: [scrape] }));
  await must(promtool, ['check', 'config', config]);
  return config;
}

/** A Lease in the suite's own namespace, as that of the manifests is other suites', and of another name: alerts don't ask for it. */
const LEASE = 'monitored';
async function mayLead(): Promise<void> {
  const { client, namespace } = environment();
  const metadata = { namespace, name: 'leads' };
  const subjects = [{ kind: 'ServiceAccount', name: MANAGER.serviceAccount, namespace: MANAGER.namespace }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name };
  const apiVersion = `${roleRef.apiGroup}/v1`;
  const own = RIGHTS.filter((right) => right.own === true).map(({ name, ...right }) => ({ ...right, ...(name && { name: LEASE }) }));
  await client.applyAll([
    { apiVersion, kind: 'Role', metadata, rules: rulesOf(own) },
    { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects },
  ]);
}

test('a Prometheus with the role collects the metrics of a manager at work', async () => {
  const { client, namespace, state, startOperator } = environment();
  await mayLead();
  const { diagnostics } = await startOperator({
    namespace,
    secureDiagnostics: true,
    args: ['--leader-elect', `--leader-election-namespace=${namespace}`, `--leader-election-id=${LEASE}`],
  });
  prometheus = await startPrometheus(state.run, folder, await configure(diagnostics));
  started.push(prometheus);
  await prometheus.until(`up{job="${JOB}"}`, ([sample]) => sample?.value[1] === '1');
  await prometheus.until('capremote_runs_total{result="Succeeded"}', ([sample]) => sample?.value[1] === '0');
  const clean = { cleanUpCommands: ['rm -f /var/log/e2e-runs'] };
  await client.applyAll([
    ...objects.cluster('watched'),
    objects.sshKey('pool-key', hosts[0] as Host),
    ...hosts.map((host, i) => objects.entry(`entry-${i}`, 'seen', host, clean)),
    ...['ready', 'failed', 'waiting'].flatMap((name) => [
      objects.bootstrapData(name, counting(name === 'failed' ? ['exit 3'] : [])),
      objects.remoteMachine(name, { pool: name === 'waiting' ? 'empty' : 'seen' }),
      objects.machine(name, 'watched'),
    ]),
  ]);
  await client.waitFor(objects.ref('RemoteMachine', 'ready'), isReady);
  await client.waitForCondition(objects.ref('RemoteMachine', 'failed'), 'Ready', undefined, 'False');
  const expectValue = (expr: string, value: string) => prometheus.until(expr, ([sample]) => sample?.value[1] === value);
  const where = `namespace="${namespace}"`;
  for (const [state, value] of [
    ['free', '0'],
    ['reserved', '2'],
    ['quarantined', '0'],
  ] as const)
    await expectValue(`capremote_pool_entries{${where},pool="seen",state="${state}"}`, value);
  await expectValue(`sum(capremote_pool_entries{${where},pool="seen"})`, '2');
  for (const phase of ['Ready', 'Failed', 'Pending']) await expectValue(`capremote_machines{${where},phase="${phase}"}`, '1');
  await expectValue('capremote_runs_total{result="Succeeded"}', '1');
  await expectValue('capremote_runs_total{result="BootstrapFailed"}', '1');
  await expectValue('capremote_machine_ready_seconds_count', '1');
  await expectValue('capremote_ssh_connects_total{outcome="Connected"}', '2');
  await expectValue('capremote_ssh_connections_open', '0');
  await expectValue(`capremote_machines_not_ready{${where},reason="NoSuchPool"}`, '1');
});

test('every query of the dashboard has data', async () => {
  const dashboard = JSON.parse(await readFile(join(monitoring, 'dashboard.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string; refId: string }[] }[];
  };
  const fill = (expr: string) => expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(namespace|pool)/g, '.*');
  const empty: string[] = [];
  for (const { title, targets } of dashboard.panels) {
    for (const { expr, refId } of targets) {
      const samples = await prometheus.query(fill(expr));
      if (samples.length === 0 || samples.every(({ value }) => value[1] === 'NaN')) empty.push(`${title} ${refId}: ${fill(expr)}`);
    }
  }
  expect(empty).toEqual([]);
});

test('its alerts are in force: the machine that failed is told of, and the one whose pool is empty, and nothing that is well', async () => {
  interface Group {
    rules: { name: string; state: string; health: string; lastError?: string }[];
  }
  const { groups } = await prometheus.get<{ groups: Group[] }>('rules?type=alert');
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.filter(({ lastError }) => lastError !== undefined)).toEqual([]);
  expect(rules.map(({ name }) => name)).toEqual(expect.arrayContaining(['RemoteMachineFailed', 'RemotePoolExhausted']));
  const conditions = parse(await readFile(alerts, 'utf8')) as { groups: { rules: { alert: string; expr: string }[] }[] };
  const raised: string[] = [];
  for (const { alert, expr: condition } of conditions.groups.flatMap((group) => group.rules))
    if ((await prometheus.query(condition)).length > 0) raised.push(alert);
  expect(raised.sort()).toEqual(['RemoteMachineFailed', 'RemotePoolExhausted']);
});
