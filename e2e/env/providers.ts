/**
 * What others install in a management cluster, out of their Go modules: Cluster API's own providers as a repository that clusterctl
 * reads, and the kinds of cert-manager, which is not run here.
 */
import { readFileSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clusterAPIFolder, corePath, findPrograms, moduleSources, sources, versionOf } from './binaries.ts';
import { cached, type Progress, timed } from './cache.ts';
import { type Manifest, parseYAML } from './client.ts';
import { must } from './command.ts';
import { type ManagerName, managers, PROVIDERS } from './managers.ts';

/** To be counted up when this file changes how the files come out. */
const RECIPE = '2';

/** Where a provider's configuration stands in Cluster API's module, and what its release and clusterctl call it. */
const COMPONENTS: Record<ManagerName, { path: string; file: string; name: string; type: string }> = {
  core: { path: corePath(versionOf('cluster-api')), file: 'core-components.yaml', name: 'cluster-api', type: 'CoreProvider' },
  'kubeadm-bootstrap': { path: 'bootstrap/kubeadm', file: 'bootstrap-components.yaml', name: 'kubeadm', type: 'BootstrapProvider' },
  'kubeadm-control-plane': {
    path: 'controlplane/kubeadm',
    file: 'control-plane-components.yaml',
    name: 'kubeadm',
    type: 'ControlPlaneProvider',
  },
};

export interface ProviderEntry {
  name: string;
  type: string;
  url: string;
}

/** Cluster API's own providers, as entries of a clusterctl.yaml. */
export async function clusterAPIProviders(progress: Progress): Promise<ProviderEntry[]> {
  const folder = await files(progress);
  return managers.map((manager) => {
    const { file, name, type } = COMPONENTS[manager];
    return { name, type, url: `file://${join(releaseOf(folder, manager), file)}` };
  });
}

/** Issuer and Certificate: where they can be made, clusterctl takes cert-manager for installed. */
export async function certManagerKinds(progress: Progress): Promise<Manifest[]> {
  return JSON.parse(await readFile(join(await files(progress), 'cert-manager.json'), 'utf8')) as Manifest[];
}

/** Folder with all of it, in the cache. */
function files(progress: Progress): Promise<string> {
  const recipe = [readFileSync(join(sources, 'providers/go.mod'), 'utf8'), JSON.stringify(COMPONENTS), RECIPE];
  return cached({ name: 'providers', version: versionOf('cluster-api'), recipe }, (folder) =>
    timed(progress, 'fetch what other providers install', async () => {
      await writeRepository(folder, progress);
      const kinds = join(await moduleSources('providers', 'github.com/cert-manager/cert-manager'), 'deploy/crds');
      const names = ['certificates', 'issuers'].map((plural) => `cert-manager.io_${plural}.yaml`);
      const texts = await Promise.all(names.map((name) => readFile(join(kinds, name), 'utf8')));
      await writeFile(join(folder, 'cert-manager.json'), JSON.stringify(texts.flatMap(parseYAML)));
    }),
  );
}

/** No release file is in a module, so they are rendered as a release renders them. */
async function writeRepository(folder: string, progress: Progress): Promise<void> {
  const { kubectl } = await findPrograms(['kubectl'], progress);
  const module = await moduleSources(clusterAPIFolder(), 'sigs.k8s.io/cluster-api');
  for (const manager of managers) {
    const { path, file } = COMPONENTS[manager];
    const release = releaseOf(folder, manager);
    await mkdir(release, { recursive: true });
    await writeFile(join(release, file), await must(kubectl, ['kustomize', join(module, path, 'config/default')]));
    await cp(join(module, 'metadata.yaml'), join(release, 'metadata.yaml'));
  }
}

const releaseOf = (folder: string, manager: ManagerName): string =>
  join(folder, 'repository', PROVIDERS[manager], versionOf('cluster-api'));
