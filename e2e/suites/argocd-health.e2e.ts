/** The health checks for Argo CD, by its own Lua: in the form of its resource_customizations, and as argocd-cm gives them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { z } from 'zod';
import { KINDS } from '../../apis/generate/kinds.ts';
import { findPrograms } from '../env/binaries.ts';
import { parseYAML } from '../env/client.ts';
import { must } from '../env/command.ts';

const folder = join(import.meta.dirname, '../../manifests/argocd/health');
const customizations = join(folder, 'resource_customizations');
const GROUP = 'infrastructure.cluster.x-k8s.io';
const kinds = ['PooledRemoteMachine', 'RemoteCluster', 'RemoteMachine'];

interface Tests {
  tests: { healthStatus: { status: string; message: string }; inputPath: string }[];
}
const read = async <T>(path: string): Promise<T> => parse(await readFile(path, 'utf8')) as T;

test('there is a check for each kind that has conditions', async () => {
  expect((await readdir(join(customizations, GROUP))).sort()).toEqual(kinds);
  const withConditions = KINDS.filter(({ status }) => status !== undefined && 'conditions' in (status as z.ZodObject).shape);
  expect(withConditions.map(({ kind }) => kind).sort()).toEqual(kinds);
});

describe.each(kinds)('%s', (kind) => {
  const place = join(customizations, GROUP, kind);

  test('is as its tests say', async () => {
    const { tests } = await read<Tests>(join(place, 'health_test.yaml'));
    const { argocd } = await findPrograms(['argocd'], () => undefined);
    const answers = JSON.parse(
      await must(argocd, ['health', customizations, ...tests.map(({ inputPath }) => join(place, inputPath))]),
    ) as object[];
    expect(answers).toEqual(tests.map(({ inputPath, healthStatus }) => ({ input: join(place, inputPath), ...healthStatus })));
  });

  test('every object of its tests is used, and one that the kind allows', async () => {
    const { tests } = await read<Tests>(join(place, 'health_test.yaml'));
    const files = (await readdir(join(place, 'testdata'))).map((file) => `testdata/${file}`);
    expect(tests.map(({ inputPath }) => inputPath).sort()).toEqual(files.sort());
    const schema = KINDS.find((one) => one.kind === kind);
    for (const file of files) {
      const object = await read<{ kind: string; spec: unknown; status?: unknown }>(join(place, file));
      expect(object.kind).toBe(kind);
      expect(schema?.spec.parse(object.spec)).toEqual(object.spec);
      expect(schema?.status?.parse(object.status ?? {})).toEqual(object.status ?? {});
    }
  });
});

test('argocd-cm gets them as they are', async () => {
  const { kubectl } = await findPrograms(['kubectl'], () => undefined);
  const [settings, ...others] = parseYAML(await must(kubectl, ['kustomize', folder]));
  expect(others).toEqual([]);
  const scripts = await Promise.all(
    kinds.map(async (kind) => [
      `resource.customizations.health.${GROUP}_${kind}`,
      await readFile(join(customizations, GROUP, kind, 'health.lua'), 'utf8'),
    ]),
  );
  expect(settings).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'argocd-cm', namespace: 'argocd' } });
  expect(settings?.data).toEqual(Object.fromEntries(scripts));
});
