/** The kustomize bases, as kubectl builds them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { z } from 'zod';
import { KINDS } from '../../apis/generate/kinds.ts';
import { RIGHTS } from '../../apis/rights.ts';
import { findPrograms } from '../env/binaries.ts';
import { parseYAML } from '../env/client.ts';
import { must } from '../env/command.ts';
import { dryRun } from '../fixtures/dry-run.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('manifests');
const manifests = path.join(__dirname, '../../manifests');

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [field: string]: unknown;
}

const parse = (text: string): Manifest[] => parseYAML(text) as Manifest[];
async function build(base: string): Promise<Manifest[]> {
  const { kubectl } = await findPrograms(['kubectl'], () => undefined);
  return parse(await must(kubectl, ['kustomize', path.join(manifests, base)]));
}
const names = (objects: Manifest[]): string[] => objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();

test.each(['crds', 'rbac', 'manager', 'policy'])('%s builds, and default holds all of it', async (base) => {
  const objects = await build(base);
  expect(objects.length).toBeGreaterThan(0);
  expect(names(await build('default'))).toEqual(expect.arrayContaining(names(objects)));
});

const named = ({ verb, resource, group, name }: { verb: string; resource: string; group: string; name?: string }): string =>
  `${verb} ${resource}.${group} ${name ?? ''}`.trim();

describe('default', () => {
  let objects: Manifest[];
  beforeAll(async () => {
    objects = await build('default');
  });
  const find = (kind: string, name = ''): Manifest => {
    const found = objects.find((object) => object.kind === kind && object.metadata.name.endsWith(name));
    if (found === undefined) throw new Error(`there is no ${kind}`);
    return found;
  };

  test('is one namespace and labels everything for clusterctl', () => {
    const namespaces = objects.filter(({ kind }) => kind === 'Namespace');
    expect(names(namespaces)).toEqual(['Namespace/cluster-api-provider-remote-system']);
    for (const { metadata } of objects) {
      expect([undefined, 'cluster-api-provider-remote-system']).toContain(metadata.namespace);
      expect(metadata.labels).toMatchObject({ 'cluster.x-k8s.io/provider': 'infrastructure-remote' });
    }
  });

  test('cluster-scoped objects carry the prefix that clusterctl delete looks for', () => {
    const clusterWide = objects.filter(
      ({ kind, metadata }) => metadata.namespace === undefined && !['Namespace', 'CustomResourceDefinition'].includes(kind),
    );
    expect(clusterWide.length).toBe(5);
    for (const { metadata } of clusterWide) expect(metadata.name).toMatch(/^cluster-api-provider-remote-system-/);
  });

  test('gives the manager these rights and no more', () => {
    const rights = (kind: 'Role' | 'ClusterRole'): string[] =>
      (
        find(kind, kind === 'Role' ? '' : '-manager').rules as {
          apiGroups: string[];
          resources: string[];
          resourceNames?: string[];
          verbs: string[];
        }[]
      )
        .flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
          apiGroups.flatMap((group) =>
            resources.flatMap((resource) => resourceNames.flatMap((name) => verbs.map((verb) => named({ verb, resource, group, name })))),
          ),
        )
        .sort();
    const declared = (own: boolean) => RIGHTS.filter((right) => (right.own ?? false) === own);
    expect(rights('ClusterRole')).toEqual(declared(false).map(named).sort());
    expect(rights('Role')).toEqual(declared(true).map(named).sort());
    // Whatever is declared one day: no secrets but by name, nothing deleted, nothing of everybody's.
    expect(rights('ClusterRole').filter((each) => / (secrets|configmaps)\./.test(each))).toEqual(['get configmaps.', 'get secrets.']);
    for (const each of [...rights('ClusterRole'), ...rights('Role')])
      expect(each).toMatch(/^(get|list|watch|create|patch) [a-z/]+\.[a-z0-9.]*/);
  });

  test('has a role for whoever collects the metrics, which nobody has yet', () => {
    expect(find('ClusterRole', '-metrics-reader').rules).toEqual([{ nonResourceURLs: ['/metrics'], verbs: ['get'] }]);
    const bound = objects.filter(({ kind }) => kind === 'ClusterRoleBinding').map(({ roleRef }) => (roleRef as { name: string }).name);
    expect(bound).toEqual([find('ClusterRole', '-manager').metadata.name]);
  });

  test('runs the manager without privileges, as the namespace demands', () => {
    const { template } = find('Deployment').spec as {
      template: { spec: { securityContext: object; serviceAccountName: string; containers: { name: string; securityContext: object }[] } };
    };
    expect(template.spec.serviceAccountName).toBe(find('ServiceAccount').metadata.name);
    expect(template.spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(template.spec.containers.map(({ name }) => name)).toEqual(['manager']);
    expect(template.spec.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(find('Namespace').metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
  });
});

describe('components', () => {
  const components = readdirSync(path.join(manifests, 'components')).map((name) => `components/${name}`);
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(path.join(manifests, '../.overlay-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('all of them go together with default, labelled and in its namespace, and the API server takes them', async () => {
    const resources = ['../manifests/default'];
    const overlay = { resources, components: [...components, 'monitoring'].map((name) => `../manifests/${name}`) };
    writeFileSync(path.join(folder, 'kustomization.yaml'), JSON.stringify(overlay));
    const objects = await build(path.join('..', path.basename(folder)));
    const added = objects.filter(({ kind }) =>
      ['Service', 'ServiceMonitor', 'PrometheusRule', 'ConfigMap', 'NetworkPolicy', 'PodDisruptionBudget'].includes(kind),
    );
    expect(added).toHaveLength(6);
    for (const { metadata } of added) {
      expect(metadata.namespace).toBe('cluster-api-provider-remote-system');
      expect(metadata.labels).toMatchObject({ 'cluster.x-k8s.io/provider': 'infrastructure-remote' });
    }
    expect(objects.find(({ kind }) => kind === 'Deployment')?.spec).toMatchObject({ replicas: 2 });

    const { controlPlane, namespace } = environment();
    // A dry run makes no namespace for the objects that come after it.
    const own = objects
      .filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.coreos.com/'))
      .map(({ metadata, ...rest }) => ({ ...rest, metadata: { ...metadata, ...(metadata.namespace !== undefined && { namespace }) } }));
    const { exitCode, stderr, stdout } = await dryRun(controlPlane, own);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout.trim().split('\n')).toHaveLength(own.length);
  });

  test('the example builds, with its image and flag', async () => {
    const deployment = (await build('overlays/example')).find(({ kind }) => kind === 'Deployment');
    const { template } = deployment?.spec as { template: { spec: { containers: [{ image: string; args: string[] }] } } };
    const { version } = JSON.parse(readFileSync(path.join(manifests, '../package.json'), 'utf8')) as { version: string };
    expect(template.spec.containers[0]).toMatchObject({
      image: `registry.example/cluster-api-provider-remote:v${version}`,
      args: ['--leader-elect', '--concurrency=20'],
    });
  });
});

describe('samples', () => {
  const files = readdirSync(path.join(manifests, 'samples')).filter((file) => file.endsWith('.yaml'));
  const objects = files.flatMap((file) =>
    parse(readFileSync(path.join(manifests, 'samples', file), 'utf8')).map((object) => ({ file, object })),
  );
  const own = objects.filter(({ object }) => object.apiVersion.startsWith('infrastructure.cluster.x-k8s.io/'));

  test.each(own.map(({ file, object }) => [file, object.kind, object.metadata.name, object] as const))(
    '%s: %s %s is accepted whole',
    (...row) => {
      const object = row[3];
      const spec = KINDS.find(({ kind }) => kind === object.kind)?.spec as z.ZodObject;
      // The API server drops a null, such as the samples' `spec:`, before it validates.
      expect(deepStrict(spec, object.spec ?? {})).toEqual([]);
    },
  );

  test('every key that is referred to is there, and labelled so that clusterctl move takes it along', () => {
    const secrets = new Map(
      objects.filter(({ object }) => object.kind === 'Secret').map(({ object }) => [object.metadata.name, object.metadata.labels ?? {}]),
    );
    const referred = own.flatMap(({ object }) =>
      [...JSON.stringify(object).matchAll(/"sshKeyRef":\{"name":"([^"]+)"\}/g)].map((match) => match[1] ?? ''),
    );
    expect(referred.length).toBeGreaterThan(0);
    for (const name of referred) expect({ name, ...secrets.get(name) }).toMatchObject({ name, 'clusterctl.cluster.x-k8s.io/move': '' });
  });
});

/** Faults of a value, unknown fields among them: what kubectl apply would warn of or be refused for. */
function deepStrict(schema: z.ZodType, value: unknown): string[] {
  const result = schema.safeParse(value);
  if (!result.success) return result.error.issues.map(({ path: at, message }) => `${at.join('.')}: ${message}`);
  const kept = JSON.stringify(sorted(result.data));
  const given = JSON.stringify(sorted(value));
  return kept === given ? [] : [`unknown fields: ${given} is kept as ${kept}`];
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, child]) => [key, sorted(child)]),
  );
}
