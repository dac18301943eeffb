/** What is made for the Prometheus operator, read strictly by its own types: nothing that it would not know. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findPrograms } from '../env/binaries.ts';
import { type Manifest, parseYAML } from '../env/client.ts';
import { type CommandResult, run } from '../env/command.ts';
import { Helm } from '../fixtures/helm.ts';

const manifests = join(import.meta.dirname, '../../manifests');
const isTheirs = ({ apiVersion }: Manifest): boolean => apiVersion.startsWith('monitoring.coreos.com/');
const all = ['--set', 'metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true'];
const more = {
  'metrics.serviceMonitor.labels': { release: 'kube-prometheus-stack' },
  'metrics.serviceMonitor.authorization': { credentials: { name: 'metrics-reader', key: 'token' } },
  'metrics.serviceMonitor.tlsConfig': { serverName: 'capr', ca: { secret: { name: 'certificate', key: 'ca.crt' } } },
};

let helm: Helm;
let program: string;
beforeAll(async () => {
  helm = await Helm.find();
  program = (await findPrograms(['prometheus-operator-kinds'], () => undefined))['prometheus-operator-kinds'];
});
afterAll(() => rm(helm.folder, { recursive: true }));

const readStrictly = (object: Manifest): Promise<CommandResult> => run(program, [], { input: JSON.stringify(object) });
async function expectKnown(objects: Manifest[]): Promise<void> {
  const theirs = objects.filter(isTheirs);
  expect(theirs.map(({ kind }) => kind).sort()).toEqual(['PrometheusRule', 'ServiceMonitor']);
  for (const object of theirs) expect(await readStrictly(object)).toMatchObject({ stderr: '', stdout: `${object.kind}\n` });
}

test.each<[string, string[]]>([
  ['as it is', []],
  ['without TLS', ['--set', 'diagnostics.insecure=true']],
  ['with a Secret and labels', Object.entries(more).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`])],
])('the chart %s', async (_, values) => expectKnown(await helm.template(...all, ...values)));

test('the kustomize components', async () => {
  const files = ['components/service-monitor/service-monitor.yaml', 'monitoring/prometheus-rule.yaml'];
  const texts = await Promise.all(files.map((file) => readFile(join(manifests, file), 'utf8')));
  await expectKnown(texts.flatMap(parseYAML));
});

test('a field that they have not is named, and so is what excludes each other', async () => {
  const [monitor] = (await helm.template(...all)).filter(({ kind }) => kind === 'ServiceMonitor');
  const spec = monitor?.spec as { endpoints: [object] };
  const withEndpoint = (more: object) =>
    readStrictly({ ...monitor, spec: { ...spec, endpoints: [{ ...spec.endpoints[0], ...more }] } } as Manifest);
  expect((await withEndpoint({ bearerToken: 'x' })).stderr).toContain('unknown field "bearerToken"');
  const twice = { authorization: { credentials: { name: 'a', key: 'b' } }, basicAuth: {} };
  expect((await withEndpoint(twice)).stderr).toContain('authorization and basicAuth cannot be configured');
});
