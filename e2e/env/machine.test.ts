/** How the environment reads the machine that it stands on. */
import { join } from 'node:path';
import { assetFolders, requiredVersion } from './binaries.ts';
import { cgroupPlaces } from './cgroup.ts';
import { haproxyConfig } from './haproxy.ts';
import { debianMirror } from './image.ts';
import { redirectWebhooks } from './managers.ts';
import { freePrefix, portOf } from './network.ts';
import { type Machine, missing, type Needs } from './prerequisites.ts';

describe('freePrefix', () => {
  test.each([
    ['nothing is taken', ['default', '192.0.2.0/24'], 0, '10.130'],
    ['runs at once begin at different places', [], 3, '10.133'],
    ['a route of the same subnet', ['10.130.0.0/16'], 0, '10.137'],
    ['a route inside it', ['10.130.7.0/24', '10.137.1.1'], 0, '10.144'],
  ])('%s', (_, routes, index, expected) => {
    expect(freePrefix(routes, index)).toBe(expected);
  });

  test('a VPN that takes all of 10.0.0.0/8 leaves none', () => {
    expect(() => freePrefix(['10.0.0.0/8'], 0)).toThrow('overlaps a route');
  });
});

test('hosts have addresses of their own, and names that an interface may have', () => {
  const ports = Array.from({ length: 600 }, (_, index) => portOf({ index: 12, folder: '' }, { bridge: 'b', prefix: '10.130' }, index + 1));
  expect(new Set(ports.map(({ address }) => address)).size).toBe(600);
  expect(new Set(ports.map(({ mac }) => mac)).size).toBe(600);
  expect(ports[250]?.address).toBe('10.130.2.1');
  expect(ports.every(({ link }) => link.length <= 15)).toBe(true);
});

test.each([
  ['one-line style', 'deb [signed-by=/k] http://mirror.example/debian bookworm main\n', 'http://mirror.example/debian'],
  ['deb822 style', 'Types: deb\nURIs: https://mirror.example/debian/\nSuites: bookworm\n', 'https://mirror.example/debian/'],
  [
    'other repositories first',
    'deb https://packages.example/apt x main\nURIs: http://deb.example/debian-security\n',
    'http://deb.debian.org/debian',
  ],
  ['commented out', '# deb http://mirror.example/debian bookworm main\n', 'http://deb.debian.org/debian'],
])('the Debian mirror from sources in %s', (_, sources, expected) => {
  expect(debianMirror(sources)).toBe(expected);
});

test('a version is read from go.mod, in a block or not', () => {
  const goMod = 'module x\n\nrequire k8s.io/kubernetes v1.34.4\n\nrequire (\n\tk8s.io/kubernetes-other v0.1.0 // indirect\n)\n';
  expect(requiredVersion(goMod, 'k8s.io/kubernetes')).toBe('v1.34.4');
  expect(requiredVersion(goMod, 'k8s.io/kubernetes-other')).toBe('v0.1.0');
  expect(() => requiredVersion(goMod, 'k8s.io/api')).toThrow('requires no k8s.io/api');
});

test('KUBEBUILDER_ASSETS comes first, then the exact version of setup-envtest, then its minor', () => {
  const folders = assetFolders({ KUBEBUILDER_ASSETS: '/assets', XDG_DATA_HOME: '/data' }, 'v1.34.4');
  expect(folders[0]).toBe('/assets');
  expect(folders[1]).toMatch(new RegExp(`^${join('/data', 'kubebuilder-envtest', 'k8s')}/1\\.34\\.4-linux-`));
  expect(folders.slice(2).every((folder) => folder.includes('/1.34.'))).toBe(true);
});

describe('cgroupPlaces', () => {
  test('version 1: one for each hierarchy, below this process', () => {
    const mountinfo = [
      '33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct',
      '40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd',
      '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
    ].join('\n');
    expect(cgroupPlaces(mountinfo, '2:cpu,cpuacct:/user\n1:name=systemd:/user/x\n0::/ignored\n')).toEqual([
      { version: 1, path: '/sys/fs/cgroup/cpu,cpuacct/user' },
      { version: 1, path: '/sys/fs/cgroup/systemd/user/x' },
    ]);
  });

  test('version 2', () => {
    expect(cgroupPlaces('30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate', '0::/user.slice/x.scope\n')).toEqual([
      { version: 2, path: '/sys/fs/cgroup/user.slice/x.scope' },
    ]);
  });
});

describe('missing', () => {
  const good: Machine = { platform: 'linux', root: true, sudo: false, apt: true, go: 'go version go1.26.1 linux/amd64', has: () => true };
  const without = (...programs: string[]): Machine => ({ ...good, has: (name: string) => !programs.includes(name) });
  const all: Needs = { controlPlane: true, hosts: true, tests: true };
  const unitTests = ['openssh-client', 'openssh-server', 'putty-tools'];
  test.each<[string, Machine, Needs, string[], RegExp[]]>([
    ['a complete machine', good, all, [], []],
    ['without root, hosts are named', { ...good, root: false }, all, [], [/Hosts .* need root\. Run it as root/]],
    ['without root, with sudo', { ...good, root: false, sudo: true }, all, [], [/Run the same command with sudo -E/]],
    ['without root, and only a control plane', { ...good, root: false }, { controlPlane: true }, [], []],
    ['without root, and only unit tests', { ...good, root: false }, { tests: true }, [], [/unit tests .* need root\. Run it as root/]],
    ['another system', { ...good, platform: 'darwin' }, {}, [], [/on Linux, not on darwin/]],
    ['an old Go', { ...good, go: 'go version go1.19 linux/amd64' }, all, [], [/Go 1\.26 or newer .*go1\.19.*: curl /]],
    ['no Go', { ...good, go: '' }, { controlPlane: true }, [], [/found: none/]],
    ['no Go, and only unit tests', { ...good, go: '' }, { tests: true }, [], []],
    ['packages, each once', without('setpriv', 'flock', 'debootstrap'), { hosts: true }, ['util-linux', 'debootstrap'], []],
    ['packages that only hosts need', without('debootstrap'), { controlPlane: true, tests: true }, [], []],
    ['packages that the unit tests need', without('puttygen', 'sshd', 'ssh-keygen', 'strace'), { tests: true }, unitTests, []],
  ])('%s', (_, machine, needs, packages, problems) => {
    const found = missing(machine, needs);
    expect(found.packages).toEqual(packages);
    expect(found.problems).toHaveLength(problems.length);
    problems.forEach((pattern, index) => expect(found.problems[index]).toMatch(pattern));
  });
});

test('webhooks call this machine; a schema with a property of the same name stays as it is', () => {
  const local = { url: 'https://127.0.0.1:9443', caBundle: 'Q0E=' };
  const schema = { clientConfig: { properties: { service: { type: 'object' } } } };
  const given = { webhooks: [{ name: 'a', clientConfig: { service: { name: 's', namespace: 'n', path: '/mutate' } } }], schema };
  expect(redirectWebhooks(given, local)).toEqual({
    webhooks: [{ name: 'a', clientConfig: { url: 'https://127.0.0.1:9443/mutate', caBundle: 'Q0E=' } }],
    schema,
  });
});

test('a load balancer dials its own port where a backend names none', () => {
  const config = haproxyConfig(6443, [{ address: '10.1.0.1' }, { address: '10.1.0.2', port: 7443 }]);
  expect(config).toContain('bind :6443\n');
  expect(config.match(/server backend.*/g)?.map((line) => line.split(' ')[2])).toEqual(['10.1.0.1:6443', '10.1.0.2:7443']);
});
