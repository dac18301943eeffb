import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const scripts = (yaml: string) => commandsOf(yaml).map((step) => step.script);
const APT =
  'apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io --assume-yes --quiet';
const ALL = 'package_upgrade: true\npackages: [a, [b, 1.5-2], [c], [d, null], "g++"]\n';

test.each([
  ['packages: [a]', ['package_update', 'packages']],
  ['package_update: true', ['package_update']],
  ['apt_upgrade: yes', ['package_update', 'package_upgrade']],
  [ALL, ['package_update', 'package_upgrade', 'packages']],
  ['package_update: false\npackages: []', []],
])('%j', (yaml, names) => expect(planOf(yaml).steps.map((step) => step.name)).toEqual(names));

test('a reboot that packages need comes last, and only where packages were changed', () => {
  const { steps, findings } = planOf('package_reboot_if_required: true\npackages: [a]\nruncmd: [ls]');
  expect(steps.at(-1)).toMatchObject({ kind: 'power', mode: 'reboot', delay: 0 });
  expect(findings).toEqual(['RebootsAtTheEnd package_reboot_if_required']);
  expect(planOf('package_reboot_if_required: true\npackage_update: true').steps.map((step) => step.kind)).toEqual(['command']);
});

test.each([
  ['packages: [-y]', 'packages[0] (line 1): '],
  ['packages: ["a; b"]', 'packages[0] (line 1): '],
  ['packages: [[a, b, c]]', 'packages[0] (line 1): expected the name of a package'],
  ['packages: [{snap: [x]}]', 'packages[0] (line 1): expected the name of a package'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

test('versions with a pattern, and such as YAML takes for numbers', () =>
  expect(scripts('packages: ["kubelet=1.31.*", [kubeadm, 1.31.*], [c, 1.31], [d, 2]]')[1]).toContain(
    ` install 'kubelet=1.31.*' 'kubeadm=1.31.*' c=1.31 d=2\n`,
  ));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test.each([
    [
      ['apt-get', 'dnf'],
      [`${APT} update`, `${APT} dist-upgrade`, `${APT} install a b=1.5-2 c d g++`],
    ],
    [
      ['dnf', 'yum'],
      ['dnf -y makecache', 'dnf -y upgrade', 'dnf -y install a b-1.5-2 c d g++'],
    ],
    [['yum'], ['yum -t -y makecache', 'yum -t -y upgrade', 'yum -t -y install a b-1.5-2 c d g++']],
    [
      ['zypper'],
      [
        'zypper --non-interactive refresh',
        'zypper --non-interactive update',
        'zypper --non-interactive install --auto-agree-with-licenses a b-1.5-2 c d g++',
      ],
    ],
    [['apk'], ['apk update', 'apk upgrade', 'apk add a b=1.5-2 c d g++']],
  ])('on a host with %j', (tools, calls) => {
    using host = new Sandbox();
    for (const tool of tools) host.stub(tool);
    for (const script of scripts(ALL)) expect(host.run(`PATH=/stubs\n${script}`, shell)).toEqual({ code: 0, output: '' });
    expect(host.calls()).toEqual(calls);
  });

  test('a host without any, and a package manager that fails', () => {
    using host = new Sandbox();
    const [update = ''] = scripts('package_update: true');
    expect(host.run(`PATH=/stubs\n${update}`, shell).code).toBe(127);
    host.stub('apt-get', 'exit 100');
    expect(host.run(update, shell).code).toBe(100);
  });
});
