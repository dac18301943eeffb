import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canSandbox, Sandbox, type Shell, SHELLS } from '../bootstrap/testing/sandbox.ts';
import type { CleanupPlan } from './plan.ts';
import { planCleanup } from './planner.ts';

const KINDS = ['KubeadmConfig', 'K0sControllerConfig', 'K0sWorkerConfig', 'RKE2Config', 'KThreesConfig', 'MicroK8sConfig'];

function planOf(kind: string): CleanupPlan {
  const plan = planCleanup({ bootstrap: { kind, group: 'bootstrap.cluster.x-k8s.io' } });
  if (plan === undefined) throw new Error(`no cleanup for ${kind}`);
  return plan;
}

/** Runs the commands as the runner does, and gives the names of those that failed and the checks that don't hold. */
function clean(host: Sandbox, plan: CleanupPlan, shell: Shell): { failed: string[]; left: Record<string, string> } {
  const results = host.runAll(
    [...plan.commands, ...plan.checks].map(({ script }) => script),
    shell,
  );
  const failed = plan.commands.filter((_, index) => results[index]?.code !== 0).map(({ name }) => name);
  return { failed, left: leftOf(plan, results.slice(plan.commands.length)) };
}

/** Names and outputs of the checks that don't hold. */
function check(host: Sandbox, plan: CleanupPlan, shell: Shell): Record<string, string> {
  return leftOf(
    plan,
    host.runAll(
      plan.checks.map(({ script }) => script),
      shell,
    ),
  );
}

function leftOf(plan: CleanupPlan, results: { code: number; output: string }[]): Record<string, string> {
  return Object.fromEntries(
    plan.checks.flatMap(({ name }, index) => (results[index]?.code === 0 ? [] : [[name, results[index]?.output ?? '']])),
  );
}

const shellcheck = spawnSync('shellcheck', ['--version']).status === 0;
(shellcheck ? test : test.skip).each(KINDS)('shellcheck finds nothing in the scripts for %s', (kind) => {
  const directory = mkdtempSync(join(tmpdir(), 'scripts-'));
  const plan = planOf(kind);
  const files = [...plan.commands, ...plan.checks].map(({ script }, index) => {
    const file = join(directory, `${index}.sh`);
    writeFileSync(file, script);
    return file;
  });
  const result = spawnSync('shellcheck', ['--shell=sh', ...files], { encoding: 'utf8' });
  rmSync(directory, { recursive: true });
  expect(result.stdout).toBe('');
});

const onHost = (canSandbox ? describe : describe.skip).each(SHELLS);
const CNI = { '/etc/cni/net.d/10-flannel.conflist': 'x', '/var/lib/cni/networks/cbr0/10.0.0.2': 'x' };

onHost('under %s', (shell) => {
  test.each(KINDS)('%s: a host on which nothing was installed is clean, and stays as it is', (kind) => {
    using host = new Sandbox();
    host.write('/etc/cni/net.d/10-image.conflist', 'of the image');
    expect(clean(host, planOf(kind), shell)).toEqual({ failed: [], left: {} });
    expect(host.read('/etc/cni/net.d/10-image.conflist')).toBe('of the image');
  });

  test('kubeadm: resets with the socket that the kubelet used, and removes what a failed reset leaves', () => {
    using host = new Sandbox();
    host.stub('kubeadm', 'exit 1');
    host.stub('systemctl', '[ "$1" != is-active ] || echo failed');
    host.write('/run/systemd/system/x', '');
    host.write('/var/lib/kubelet/kubeadm-flags.env', 'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/x/y.sock --foo=1"\n');
    for (const file of ['manifests/etcd.yaml', 'pki/ca.key', 'admin.conf', 'audit.yaml']) host.write(`/etc/kubernetes/${file}`, 'x');
    host.write('/var/lib/etcd/member/snap/db', 'x');
    host.write('/run/kubeadm/kubeadm-join-config.yaml', 'x');
    host.write('/run/cluster-api/bootstrap-success.complete', 'x');
    for (const [path, content] of Object.entries(CNI)) host.write(path, content);
    const plan = planOf('KubeadmConfig');
    expect(Object.keys(check(host, plan, shell))).toEqual([
      'no static pod, certificate or kubeconfig in /etc/kubernetes',
      'no data of etcd',
      'no state of the kubelet',
      'no join configuration with a token',
      'no network interface or CNI file of a cluster',
    ]);
    expect(clean(host, plan, shell)).toEqual({ failed: ['kubeadm reset'], left: {} });
    expect(host.calls()).toContain('kubeadm reset --force --cri-socket unix:///run/x/y.sock');
    expect(host.calls()).toContain('systemctl stop kubelet.service');
    expect(host.exists('/etc/kubernetes/audit.yaml')).toBe(true);
    expect(host.exists('/run/cluster-api')).toBe(false);
  });

  test('kubeadm: instance-config.yaml of Kubernetes 1.34 names the socket', () => {
    using host = new Sandbox();
    host.stub('kubeadm');
    host.write('/var/lib/kubelet/instance-config.yaml', 'kind: KubeletConfiguration\ncontainerRuntimeEndpoint: "unix:///run/a.sock"\n');
    clean(host, planOf('KubeadmConfig'), shell);
    expect(host.calls()).toEqual(['kubeadm reset --force --cri-socket unix:///run/a.sock']);
  });

  test.each([
    ['active', false],
    ['activating', false],
    ['deactivating', false],
    ['failed', true],
    ['inactive', true],
  ])('a service that is %s: clean %s', (state, isClean) => {
    using host = new Sandbox();
    host.write('/run/systemd/system/x', '');
    host.stub('systemctl', `[ "$1" != is-active ] || echo ${state}`);
    const left = check(host, planOf('KubeadmConfig'), shell);
    expect(left).toEqual(isClean ? {} : { 'no service kubelet is running': `service kubelet is ${state}\n` });
  });

  test('what is mounted in the directory of the kubelet is unmounted, not deleted; a disk of its own stays mounted', () => {
    using host = new Sandbox();
    host.write('/data/precious', 'x');
    const remove = planOf('KubeadmConfig').commands.find((command) => command.name.startsWith('remove files'));
    const volume = '/var/lib/kubelet/pods/a/volumes/with space';
    const { code, output } = host.run(
      `mkdir -p /var/lib/kubelet && mount -t tmpfs disk /var/lib/kubelet && mkdir -p '${volume}' && mount --bind /data '${volume}'
(${remove?.script ?? 'exit 9'})
ls -A /data /var/lib/kubelet; grep -c ' /var/lib/kubelet ' /proc/self/mountinfo`,
      shell,
    );
    expect({ code, output }).toEqual({ code: 0, output: '/data:\nprecious\n\n/var/lib/kubelet:\n1\n' });
  });

  test('what is mounted cannot be read: nothing is removed', () => {
    using host = new Sandbox();
    host.write('/var/lib/etcd/member/snap/db', 'x');
    host.stub('sort', 'exit 1');
    expect(Object.keys(clean(host, planOf('KubeadmConfig'), shell).left)).toEqual(['no data of etcd']);
    expect(host.exists('/var/lib/etcd/member/snap/db')).toBe(true);
  });

  test('interfaces of a cluster are removed, and looked for', () => {
    using host = new Sandbox();
    const plan = planOf('KubeadmConfig');
    const network = plan.commands.find((command) => command.name === 'clean the network');
    const look = plan.checks.find((one) => one.name.startsWith('no network interface'));
    const { code, output } = host.run(
      `/usr/sbin/ip link add cni0 type bridge && /usr/sbin/ip link add own0 type bridge
(${look?.script ?? ''}); echo "$?"
(${network?.script ?? ''}); (${look?.script ?? ''}); echo "$?"; ls /sys/class/net`,
      shell,
    );
    expect(code).toBe(0);
    expect(output).toMatch(/^network interface cni0 is left\n1\n0\nlo\nown0\n$/);
  });

  test('what Cilium put aside comes back', () => {
    using host = new Sandbox();
    host.write('/etc/cni/net.d/10-image.conflist.cilium_bak', 'of the image');
    host.write('/etc/cni/net.d/05-cilium.conflist', 'x');
    expect(clean(host, planOf('KubeadmConfig'), shell).left).toEqual({});
    expect(host.read('/etc/cni/net.d/10-image.conflist')).toBe('of the image');
    expect(host.exists('/etc/cni/net.d/05-cilium.conflist')).toBe(false);
  });

  test('processes: a living kubelet and the shims of pods are found, with all that they started', () => {
    using host = new Sandbox();
    const plan = planOf('KubeadmConfig');
    const stop = plan.commands.find((command) => command.name === 'stop pods');
    const checks = plan.checks.filter((one) => /process of Kubernetes|no pod/.test(one.name)).map((one) => `(${one.script}); echo "$?"`);
    const { output } = host.run(
      `mkdir /opt && cp /usr/bin/dash /opt/kubelet && cp /usr/bin/dash /opt/containerd-shim-runc-v2
/opt/kubelet -c 'while :; do sleep 1; done' & kubelet=$!
/opt/containerd-shim-runc-v2 -c 'sleep 61 & sleep 62 & wait' shim -namespace k8s.io -id a &
until [ "$(cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c '^6[12]$')" = 2 ]; do :; done
${checks.join('\n')}
(${stop?.script ?? ''}) 2>/dev/null; kill -9 "$kubelet"; wait
${checks.join('\n')}
cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 6[12]'`,
      shell,
    );
    expect(output).toMatch(
      /process \d+ is alive: \/opt\/kubelet\n1\nprocesses that hold pods are alive: \d+ \n1\n(.*Killed.*\n)*0\n0\n0\n$/,
    );
  });

  test('k0s: leaves, stops, resets with the directories of its service, and asks again', () => {
    using host = new Sandbox();
    host.stub('k0s', 'case $1 in etcd) exit 1 ;; reset) rm -rf /var/lib/k0s/* /etc/systemd/system/k0s* ;; esac');
    host.stub('systemctl', '[ "$1" != is-active ] || echo inactive');
    host.write('/run/systemd/system/x', '');
    host.write(
      '/etc/systemd/system/k0scontroller.service',
      '[Service]\nExecStart=/usr/local/bin/k0s controller --data-dir=/data/k0s --kubelet-root-dir "/data/kubelet" --config=/etc/k0s.yaml\n',
    );
    const documents = ['/etc/k0s.yaml', '/etc/k0s.token'];
    for (const path of ['/var/lib/k0s/pki/ca.key', '/etc/k0s/containerd.toml', '/run/k0s/status.sock', ...documents]) host.write(path, 'x');
    expect(clean(host, planOf('K0sControllerConfig'), shell)).toEqual({ failed: ['k0s etcd leave'], left: {} });
    expect(host.calls()).toEqual(
      expect.arrayContaining([
        'k0s etcd leave',
        'systemctl stop k0scontroller.service',
        'k0s reset --data-dir /data/k0s --kubelet-root-dir /data/kubelet',
        'k0s reset',
      ]),
    );
    for (const path of ['/etc/k0s', ...documents]) expect([path, host.exists(path)]).toEqual([path, false]);
  });

  test("k0s: a worker's join token goes, and a configuration that it never had stays", () => {
    using host = new Sandbox();
    for (const path of ['/etc/k0s.yaml', '/etc/k0s.token']) host.write(path, 'x');
    expect(clean(host, planOf('K0sWorkerConfig'), shell).left).toEqual({});
    expect([host.exists('/etc/k0s.token'), host.exists('/etc/k0s.yaml')]).toEqual([false, true]);
  });

  test('k0s: a worker does not leave etcd; what k0s reset still finds is not clean', () => {
    using host = new Sandbox();
    host.stub('k0s', '[ "$1" != reset ] || { echo "k0s seems to be running"; exit 1; }');
    const { left } = clean(host, planOf('K0sWorkerConfig'), shell);
    expect(left).toEqual({ 'k0s reset finds nothing left': 'k0s seems to be running\n' });
    expect(host.calls()).toEqual(['k0s reset', 'k0s reset']);
  });

  test('k0s: waits until it is dead', () => {
    using host = new Sandbox();
    const stop = planOf('K0sWorkerConfig').commands.find((command) => command.name === 'stop k0s');
    host.stub('systemctl', '[ "$1" != stop ] || [ "$2" != k0sworker.service ] || touch /stop');
    host.write('/run/systemd/system/x', '');
    const { output } = host.run(
      `mkdir /opt && cp /usr/bin/dash /opt/k0s
/opt/k0s -c 'until [ -e /stop ]; do sleep 0.1; done; sleep 1; touch /dead' &
while [ "$(ls /proc | grep -c '^[0-9]')" -lt 3 ]; do :; done
(${stop?.script ?? ''}); echo "$?"; ls /dead`,
      shell,
    );
    expect(output).toBe('0\n/dead\n');
  });

  test.each([
    ['RKE2Config', 'rke2', 'rke2-server', ['rke2-killall.sh', 'rke2-uninstall.sh']],
    ['KThreesConfig', 'k3s', 'k3s', ['k3s-killall.sh', 'k3s-uninstall.sh']],
    ['KThreesConfig', 'k3s', 'k3s-agent', ['k3s-killall.sh', 'k3s-agent-uninstall.sh']],
  ])('%s: %s scripts of %s run in order, and what they leave goes', (kind, name, service, scripts) => {
    using host = new Sandbox();
    for (const one of scripts) host.stub(one, `rm -f /etc/systemd/system/${service}.service`);
    host.stub('systemctl', '[ "$1" != is-active ] || echo inactive');
    host.write('/run/systemd/system/x', '');
    host.write(`/etc/systemd/system/${service}.service`, 'x');
    for (const path of [`/etc/rancher/${name}/config.yaml`, `/var/lib/rancher/${name}/server/token`]) host.write(path, 'x');
    const plan = planOf(kind);
    expect(Object.keys(check(host, plan, shell))).toEqual([`no data, token or configuration of ${name}`, `no service file of ${name}`]);
    expect(clean(host, plan, shell)).toEqual({ failed: [], left: {} });
    expect(host.calls().filter((call) => call.includes('.sh'))).toEqual(scripts.map((one) => `${one} `));
    expect(host.exists('/etc/rancher')).toBe(false);
  });

  test('microk8s: leaves, removes the snap without a snapshot, and looks whether it is gone', () => {
    using host = new Sandbox();
    host.stub('microk8s', 'exit 1');
    host.stub('snap', 'case $1 in list) [ ! -e /removed ] ;; remove) touch /removed ;; esac');
    host.write('/var/snap/microk8s/common/x', 'x');
    const plan = planOf('MicroK8sConfig');
    expect(check(host, plan, shell)).toMatchObject({ 'the snap microk8s is not installed': 'the snap microk8s is installed\n' });
    expect(clean(host, plan, shell)).toEqual({ failed: ['microk8s leave'], left: {} });
    expect(host.calls()).toContain('snap remove --purge microk8s');
  });
});
