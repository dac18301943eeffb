/** The image, built without a base image, and the kustomize bases: a Pod from the Deployment runs the samples' pool. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { findPrograms } from '../env/binaries.ts';
import { must, run } from '../env/command.ts';
import { MANAGER } from '../env/control-plane.ts';
import type { Host } from '../env/hosts.ts';
import { blob, manifestOf } from '../env/kubelet/image.ts';
import { isRolledOut } from '../env/kubelet/kubelet.ts';
import type { RunningPod } from '../env/kubelet/pod.ts';
import { children } from '../env/process.ts';
import { type Management, startManagement } from '../fixtures/management.ts';
import { INFRASTRUCTURE, Objects } from '../fixtures/objects.ts';
import { commandsOf } from '../fixtures/page.ts';
import { Shell } from '../fixtures/shell.ts';
import { expectUsedOnce, makeWorkers, scaleWorkers } from '../fixtures/workers.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('image');
const checkout = join(import.meta.dirname, '../..');
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: MANAGER.namespace, name: 'cluster-api-provider-remote' };

let management: Management;
let objects: Objects;
let hosts: Host[];
beforeAll(async () => {
  objects = new Objects('machines');
  [management, hosts] = await Promise.all([startManagement(environment()), environment().createHosts(2)]);
  await management.client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: objects.namespace } });
});
afterAll(() => management.stop());

describe('what is in it', () => {
  test('less than 200 MB, by an account that is not root, with labels of this build', () => {
    const { size, config, build } = management.image;
    process.stdout.write(`image: ${(size / 1e6).toFixed(1)} MB\n`);
    expect(size).toBeLessThan(200e6);
    expect(config.User).toBe('65532:65532');
    expect([config.Entrypoint.at(0), config.Entrypoint.at(-1)]).toEqual(['/usr/local/bin/node', '/manager/manager.js']);
    expect(config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'cluster-api-provider-remote',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': build.version,
      'org.opencontainers.image.revision': build.revision,
    });
  });

  test('one program, nothing that others could be started by, and nothing that runs with more rights', async () => {
    const { root } = management.image;
    const executables = (await must('find', [root, '-type', 'f', '-perm', '/111', '-not', '-name', '*.so*'])).trim().split('\n');
    expect(executables.map((path) => path.slice(root.length))).toEqual(['/usr/local/bin/node']);
    expect(await must('find', [root, '-perm', '/6000'])).toBe('');
    expect(['bin/sh', 'usr/bin', 'root'].filter((path) => existsSync(join(root, path)))).toEqual([]);
  });

  test('a bill of materials that names Node.js, the libraries and what was bundled, with the licences beside it', () => {
    const documents = join(management.image.root, 'usr/share/doc/cluster-api-provider-remote');
    const { components } = JSON.parse(readFileSync(join(documents, 'sbom.cdx.json'), 'utf8')) as { components: { purl: string }[] };
    const { devDependencies, dependencies } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    const purls = components.map(({ purl }) => decodeURIComponent(purl));
    expect(purls).toContain(`pkg:generic/node@${devDependencies?.['node']}`);
    for (const library of ['libc6', 'libstdc++6', 'libgcc-s1']) expect(purls.join('\n')).toContain(`pkg:deb/debian/${library}@`);
    for (const name of ['ssh2', 'zod', 'yaml', 'prom-client']) expect(purls).toContain(`pkg:npm/${name}@${dependencies?.[name]}`);
    const licences = readFileSync(join(documents, 'third-party-licences.txt'), 'utf8').split('\n');
    expect(licences.filter((line) => line.startsWith('ssh2 '))).toEqual([`ssh2 ${dependencies?.['ssh2']} (MIT)`]);
    expect(readdirSync(join(management.image.root, 'var/lib/dpkg/status.d'))).toContain('libc6');
  });

  test('its layout is what other tools read', async () => {
    const { layout, config } = management.image;
    const { layers } = await manifestOf(layout);
    for (const { digest, size } of layers) expect(readFileSync(blob(layout, digest)).length).toBe(size);
    if ((await run('which', ['skopeo'])).exitCode !== 0) return;
    const inspected = JSON.parse(await must('skopeo', ['inspect', '--config', `oci:${layout}`])) as { config: object };
    expect(inspected.config).toEqual(config);
  });
});

describe('kubectl apply -k manifests/default', () => {
  let pod: RunningPod;
  test('starts a manager that becomes ready', async () => {
    const { kubectl } = await findPrograms(['kubectl'], () => undefined);
    const start = performance.now();
    await must(kubectl, ['apply', '--server-side', '-k', join(checkout, 'manifests/default')], { env: management.env });
    await management.client.waitFor(deployment, isRolledOut);
    process.stdout.write(`ready ${((performance.now() - start) / 1000).toFixed(1)} s after kubectl apply began\n`);
    [pod] = (await management.kubelet.pods()) as [RunningPod];
    // Every line of the log is one that a collector can read.
    for (const line of pod.logs().trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ level: 'info' });
  });

  test('it runs as the image and the Pod say: its account, no capability, no new privilege, a root that is read-only', () => {
    const [runtime] = pod.processes;
    const manager = children(runtime?.pid ?? 0)[0]?.pid ?? 0;
    const status = readFileSync(`/proc/${manager}/status`, 'utf8');
    expect(status).toMatch(/^Uid:(\t65532){4}$/m);
    expect(status).toMatch(/^Gid:(\t65532){4}$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) expect(status).toMatch(new RegExp(`^Cap${set}:\\t0+$`, 'm'));
    expect(readlinkSync(`/proc/${manager}/exe`)).toBe('/usr/local/bin/node');
    const mounts = readFileSync(`/proc/${manager}/mountinfo`, 'utf8').split('\n');
    expect(mounts.filter((line) => / \/ \/ ro[, ]/.test(line))).toHaveLength(1);
    // Nothing of the file system that a disk holds can be written to.
    const writable = mounts.filter((line) => / - (?!tmpfs|proc|sysfs|devpts|mqueue|cgroup)/.test(line) && / rw[, ].* - /.test(line));
    expect(writable).toEqual([]);
  });

  test('the samples’ pool: two machines are bootstrapped once each, and their hosts cleaned', async () => {
    const { client } = management;
    await makeWorkers(client, objects, hosts);
    const machines = await scaleWorkers(client, objects, 2);
    await scaleWorkers(client, objects, 0);
    await expectUsedOnce(hosts, machines);
  });

  test('a Pod that is deleted ends in order, and gives the Lease to its successor', async () => {
    const { client } = management;
    await client.delete({ apiVersion: 'v1', kind: 'Pod', namespace: MANAGER.namespace, name: pod.name });
    await client.waitForGone({ apiVersion: 'v1', kind: 'Pod', namespace: MANAGER.namespace, name: pod.name });
    expect(pod.processes.map(({ exitCode }) => exitCode)).toEqual([0]);
    await client.waitFor(deployment, isRolledOut);
  });
});

describe('removed, by the commands of the pages', () => {
  let shell: Shell;
  beforeAll(async () => {
    shell = await Shell.open(checkout, { KUBECONFIG: management.plane.kubeconfig });
  });
  /** Everything outside of namespaces that was installed, by kind and name. */
  async function installed(): Promise<string[]> {
    const kinds = 'crd,namespace,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding';
    const get = `kubectl get ${kinds} --output name --selector cluster.x-k8s.io/provider=infrastructure-remote`;
    return (await shell.must(get)).split('\n').filter(Boolean);
  }

  test('clusters and entries first, while the manager runs', async () => {
    const [cluster = '', ...others] = await commandsOf('clusterctl.md', 'Remove', ['kubectl']);
    await shell.must(`${cluster.replace('my-cluster', 'pooled')} --namespace ${objects.namespace}`);
    for (const line of [...others, 'kubectl delete remotemachinetemplates --all --all-namespaces']) await shell.must(line);
    for (const kind of ['RemoteCluster', 'RemoteMachine', 'RemoteMachineTemplate', 'PooledRemoteMachine'])
      expect(await management.client.list({ apiVersion: INFRASTRUCTURE, kind })).toEqual([]);
  });

  test('then the manager with its rights and the policy, and the kinds at last: nothing is left', async () => {
    const commands = await commandsOf('getting-started.md', 'Remove', ['kubectl']);
    for (const line of commands.slice(0, -1)) await shell.must(line);
    const kinds = await installed();
    expect(kinds).toHaveLength(5);
    expect(kinds.filter((name) => !name.startsWith('customresourcedefinition'))).toEqual([]);
    await shell.must(commands.at(-1) ?? '');
    expect(await installed()).toEqual([]);
    expect(await management.kubelet.pods()).toEqual([]);
  });
});
