/** The programs of the test environment: found on the machine, or built once from their Go modules. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { arch, homedir, platform } from 'node:os';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { cached, type Progress, timed } from './cache.ts';
import { must } from './command.ts';

export const sources = join(import.meta.dirname, 'go');
/** To be counted up when this file changes how programs or manifests come out. */
const RECIPE = '1';

/** Programs of one Go module. Its folder in go/ pins the version; all of them are built together. */
interface Build {
  /** Module that go.mod requires; its version is the programs' version. */
  module: string;
  /** Main package of each program. */
  programs: Record<string, string>;
  /** Package whose gitVersion, gitMajor and gitMinor variables say the version. */
  versionPackage?: string;
  /** It is linked with libraries of C that the machine has. */
  cgo?: boolean;
  /** Other variables that are set when it is linked. */
  variables?: Record<string, string>;
  /** Variable that says the version, where there is one of another name. */
  versionVariable?: string;
  /** Package whose k8sVersionMajor and k8sVersionMinor say which Kubernetes is assumed without a cluster: that of the client library. */
  assumedVersionPackage?: string;
  /** Files in its folder in go/ that its programs are made of, too. */
  own?: string[];
  /** What else the artifact holds; written to its folder. */
  extra?: (folder: string, moduleFolder: string, kubectl: string) => Promise<void>;
}

/** Other Cluster APIs than suites usually run with, as CLUSTER_API_VERSION names them: v1.11, v1.14. */
export const otherClusterAPIs = (): string[] =>
  readdirSync(sources)
    .flatMap((name) => /^cluster-api-(.*)/.exec(name)?.[1] ?? [])
    .sort();

/** Folder in go/ of the Cluster API that suites run with. */
export function clusterAPIFolder(wanted = process.env['CLUSTER_API_VERSION']): string {
  const folder = wanted ? `cluster-api-${wanted}` : 'cluster-api';
  if (existsSync(join(sources, folder))) return folder;
  throw new Error(`CLUSTER_API_VERSION=${wanted}: it is ${otherClusterAPIs().join(' or ')}, or not set`);
}

const clusterAPIVersion = (): string =>
  requiredVersion(readFileSync(join(sources, clusterAPIFolder(), 'go.mod'), 'utf8'), 'sigs.k8s.io/cluster-api');

/** Folder of Cluster API's module in which its core provider stands. */
export const corePath = (version: string): string => (Number(version.split('.')[1]) >= 14 ? 'core' : '.');

const builds = {
  kubernetes: {
    module: 'k8s.io/kubernetes',
    programs: {
      'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
      'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
      kubectl: 'k8s.io/kubernetes/cmd/kubectl',
    },
    versionPackage: 'k8s.io/component-base/version',
  },
  etcd: { module: 'go.etcd.io/etcd/server/v3', programs: { etcd: '.' } },
  'cluster-api': {
    module: 'sigs.k8s.io/cluster-api',
    programs: {
      core: join('sigs.k8s.io/cluster-api', corePath(clusterAPIVersion())),
      'kubeadm-bootstrap': 'sigs.k8s.io/cluster-api/bootstrap/kubeadm',
      'kubeadm-control-plane': 'sigs.k8s.io/cluster-api/controlplane/kubeadm',
      clusterctl: 'sigs.k8s.io/cluster-api/cmd/clusterctl',
    },
    versionPackage: 'sigs.k8s.io/cluster-api/version',
    extra: renderManifests,
  },
  helm: {
    module: 'helm.sh/helm/v3',
    programs: { helm: 'helm.sh/helm/v3/cmd/helm' },
    versionVariable: 'helm.sh/helm/v3/internal/version.version',
    assumedVersionPackage: 'helm.sh/helm/v3/pkg/chartutil',
  },
  argocd: {
    module: 'github.com/argoproj/argo-cd/v3',
    programs: { argocd: '.', kustomize: 'sigs.k8s.io/kustomize/kustomize/v5' },
    versionVariable: 'github.com/argoproj/argo-cd/v3/common.version',
    own: ['main.go', 'health.go'],
    extra: collectArgoCD,
  },
  'prometheus-operator': {
    module: 'github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring',
    programs: { 'prometheus-operator-kinds': '.' },
    own: ['main.go'],
  },
  grafana: { module: 'github.com/grafana/grafana-foundation-sdk/go', programs: { 'grafana-dashboard': '.' } },
  actionlint: { module: 'github.com/rhysd/actionlint', programs: { actionlint: 'github.com/rhysd/actionlint/cmd/actionlint' } },
  ignition: {
    module: 'github.com/coreos/ignition/v2',
    programs: { ignition: 'github.com/coreos/ignition/v2/internal' },
    versionVariable: 'github.com/coreos/ignition/v2/internal/version.Raw',
    // As distributions without SELinux build it.
    variables: { 'github.com/coreos/ignition/v2/internal/distro.selinuxRelabel': 'false' },
    cgo: true,
  },
  'ignition-v0': {
    module: 'github.com/flatcar/ignition',
    programs: { 'ignition-v0': 'github.com/flatcar/ignition/internal' },
    versionVariable: 'github.com/flatcar/ignition/internal/version.Raw',
    cgo: true,
  },
} satisfies Record<string, Build>;

type BuildName = keyof typeof builds;
const folderOf = (name: BuildName): string => (name === 'cluster-api' ? clusterAPIFolder() : name);
/** What setup-envtest has. */
const ASSETS: BuildName[] = ['kubernetes', 'etcd'];
export type Program = { [Name in BuildName]: keyof (typeof builds)[Name]['programs'] }[BuildName];

/** Version that a go.mod requires of a module. */
export function requiredVersion(goMod: string, module: string): string {
  const line = goMod.split('\n').find((text) => text.replace(/^require\s+|^\s+/, '').startsWith(`${module} v`));
  const version = line === undefined ? undefined : /\s(v\S+)/.exec(line)?.[1];
  if (version === undefined) throw new Error(`go.mod requires no ${module}`);
  return version;
}

/** Version of the programs of a build, such as v1.34.4. */
export const versionOf = (name: BuildName): string =>
  requiredVersion(readFileSync(join(sources, folderOf(name), 'go.mod'), 'utf8'), builds[name].module);

/** Folders where a program may stand already: KUBEBUILDER_ASSETS, and the store of setup-envtest for the same Kubernetes minor. */
export function assetFolders(env: NodeJS.ProcessEnv, kubernetes: string): string[] {
  const store = join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'kubebuilder-envtest', 'k8s');
  const machine = `${platform()}-${arch() === 'x64' ? 'amd64' : arch()}`;
  const [major, minor, patch] = kubernetes.slice(1).split('.');
  const versions = Array.from({ length: 30 }, (_, index) => `${major}.${minor}.${index}`);
  const best = [`${major}.${minor}.${patch}`, ...versions.reverse()];
  return [
    ...(env['KUBEBUILDER_ASSETS'] ? [env['KUBEBUILDER_ASSETS']] : []),
    ...best.map((version) => join(store, `${version}-${machine}`)),
  ];
}

/**
 * Paths of programs. A build that isn't in the cache takes minutes, so a program is looked for where setup-envtest puts it first.
 */
export async function findPrograms<P extends Program>(programs: readonly P[], progress: Progress): Promise<Record<P, string>> {
  const folders = assetFolders(process.env, versionOf('kubernetes'));
  const paths: Partial<Record<P, string>> = {};
  for (const program of programs) {
    const name = buildOf(program);
    const asset = !ASSETS.includes(name) ? undefined : folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
    paths[program] = asset ?? join(await built(name, progress), program);
  }
  return paths as Record<P, string>;
}

/** Kinds and webhooks of a Cluster API provider, as objects. */
export async function providerManifests(program: Program, progress: Progress): Promise<{ crds: object[]; webhooks: object[] }> {
  const text = await readFile(join(await built('cluster-api', progress), `${program}.json`), 'utf8');
  return JSON.parse(text) as { crds: object[]; webhooks: object[] };
}

/** Folder with what Argo CD's image has beside its programs, and with argocd.yaml: its kinds and settings. */
export const argocdFolder = (progress: Progress): Promise<string> => built('argocd', progress);

function buildOf(program: Program): BuildName {
  const name = (Object.keys(builds) as BuildName[]).find((build) => program in builds[build].programs);
  if (name === undefined) throw new Error(`no build makes ${program}`);
  return name;
}

/** Folder of a build in the cache. */
async function built(name: BuildName, progress: Progress): Promise<string> {
  const build: Build = builds[name];
  const module = join(sources, folderOf(name));
  const own = (build.own ?? []).map((file) => readFileSync(join(module, file), 'utf8'));
  const recipe = [readFileSync(join(module, 'go.mod'), 'utf8'), JSON.stringify(build), RECIPE, ...own];
  return cached({ name, version: versionOf(name), recipe }, (folder) =>
    timed(progress, `build ${name} ${versionOf(name)} from source`, async () => {
      await buildPrograms(build, module, versionOf(name), folder);
      if (build.extra === undefined) return;
      const { kubectl } = await findPrograms(['kubectl'], progress);
      await build.extra(folder, await moduleSources(folderOf(name), build.module), kubectl);
    }),
  );
}

/** Programs that may keep their package's own name share one `go build`, which loads and links them side by side. */
async function buildPrograms(build: Build, module: string, version: string, folder: string): Promise<void> {
  const programs = Object.entries(build.programs);
  const together = programs.filter(([name, path]) => basename(path) === name).map(([, path]) => path);
  const variables = [
    ...(build.versionPackage === undefined ? [] : versionFlags(build.versionPackage, version)),
    ...(build.versionVariable === undefined ? [] : [`-X ${build.versionVariable}=${version}`]),
    ...Object.entries(build.variables ?? {}).map(([name, value]) => `-X ${name}=${value}`),
    ...(build.assumedVersionPackage === undefined ? [] : assumedVersionFlags(build.assumedVersionPackage, module)),
  ];
  if (together.length > 0) await buildProgram(module, `${folder}/`, together, variables, build.cgo);
  for (const [name, path] of programs)
    if (basename(path) !== name) await buildProgram(module, join(folder, name), [path], variables, build.cgo);
}

async function buildProgram(module: string, output: string, packages: string[], ldflags: string[], cgo = false): Promise<void> {
  const flags = ['-trimpath', '-ldflags', ['-s', '-w', ...ldflags].join(' ')];
  await must('nice', ['-n', '15', 'go', 'build', ...flags, '-o', output, ...packages], goOptions(module, cgo));
}

/** Folder of a module's sources, in the version that go/<folder>/go.mod requires; go.sum beside it says what they have to be. */
export async function moduleSources(folder: string, module: string): Promise<string> {
  const cwd = join(sources, folder);
  const version = requiredVersion(await readFile(join(cwd, 'go.mod'), 'utf8'), module);
  const { Dir } = JSON.parse(await must('go', ['mod', 'download', '-json', `${module}@${version}`], goOptions(cwd))) as { Dir: string };
  return Dir;
}

const goOptions = (cwd: string, cgo = false) => ({
  cwd,
  env: { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false', CGO_ENABLED: cgo ? '1' : '0' },
});

function versionFlags(path: string, version: string): string[] {
  const [major, minor] = version.slice(1).split('.');
  return [`-X ${path}.gitVersion=${version}`, `-X ${path}.gitMajor=${major}`, `-X ${path}.gitMinor=${minor}`];
}

function assumedVersionFlags(path: string, module: string): string[] {
  const [, minor] = requiredVersion(readFileSync(join(module, 'go.mod'), 'utf8'), 'k8s.io/client-go').split('.');
  return [`-X ${path}.k8sVersionMajor=1`, `-X ${path}.k8sVersionMinor=${minor}`];
}

/** CRDs and webhook configurations of Cluster API's providers, named and labelled as their releases are. */
async function renderManifests(folder: string, moduleFolder: string, kubectl: string): Promise<void> {
  const configs = {
    core: corePath(clusterAPIVersion()),
    'kubeadm-bootstrap': 'bootstrap/kubeadm',
    'kubeadm-control-plane': 'controlplane/kubeadm',
  };
  for (const [name, path] of Object.entries(configs)) {
    const release = parseAllDocuments(await must(kubectl, ['kustomize', join(moduleFolder, path, 'config/default')]));
    const objects = release.map((document) => document.toJSON() as { kind: string });
    const crds = objects.filter(({ kind }) => kind === 'CustomResourceDefinition');
    const webhooks = objects.filter(({ kind }) => kind.endsWith('WebhookConfiguration'));
    await writeFile(join(folder, `${name}.json`), JSON.stringify({ crds, webhooks }));
  }
}

async function collectArgoCD(folder: string, moduleFolder: string, kubectl: string): Promise<void> {
  for (const script of ['git-verify-wrapper.sh', 'gpg-wrapper.sh']) {
    await copyFile(join(moduleFolder, 'hack', script), join(folder, script));
    await chmod(join(folder, script), 0o755);
  }
  const parts = ['manifests/crds', 'manifests/base/config'].map((path) => must(kubectl, ['kustomize', join(moduleFolder, path)]));
  await writeFile(join(folder, 'argocd.yaml'), (await Promise.all(parts)).join('---\n'));
}
