import { spawnSync } from 'node:child_process';
import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const namesOf = (yaml: string) => commandsOf(yaml).map((step) => step.name);

test.each([
  ['hostname: a', ['hostname a']],
  ['hostname: a.b.c', ['hostname a']],
  ['fqdn: a.b.c', ['hostname a']],
  ['fqdn: a.b.c\nhostname: x', ['hostname x']],
  ['fqdn: a.b.c\nprefer_fqdn_over_hostname: true', ['hostname a.b.c']],
  ['hostname: a\npreserve_hostname: true', []],
  ['preserve_hostname: false', []],
  ['manage_etc_hosts: localhost', ['manage_etc_hosts']],
  ['manage_etc_hosts: false', []],
])('%j', (yaml, names) => expect(namesOf(yaml)).toEqual(names));

test('what of /etc/hosts is left as it is, is told', () =>
  expect(planOf('manage_etc_hosts: true').findings).toEqual(['EtcHostsKept manage_etc_hosts']));

test.each([
  ['hostname: a b', 'hostname (line 1): is not a host name'],
  ['fqdn: -a', 'fqdn (line 1): is not a host name'],
  ['hostname: CI_MISSING_JINJA_VAR/uuid', 'hostname (line 1): is not a host name'],
  ['manage_etc_hosts: 3', 'manage_etc_hosts (line 1): expected true, false or localhost'],
  ['ntp: {servers: ["a;b"]}', 'ntp.servers[0] (line 1): is not a host name or an address'],
  ['ntp: {ntp_client: openntpd}', 'ntp.ntp_client (line 1): is not a client that can be set up'],
  ['ntp: {peers: [a]}', 'ntp.peers (line 1): this key is not supported'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

test.each(['ntp: {enabled: false, servers: [a]}'])('%s: nothing to do', (yaml) => expect(namesOf(yaml)).toEqual([]));

const hasShellcheck = spawnSync('shellcheck', ['--version']).status === 0;
(hasShellcheck ? test : test.skip)('shellcheck finds nothing in the scripts', () => {
  for (const yaml of [
    'hostname: a\nmanage_etc_hosts: localhost',
    'fqdn: a.b',
    'ntp: {servers: [a]}',
    'ntp:',
    'ntp: {ntp_client: chrony}',
  ]) {
    for (const { script } of commandsOf(yaml)) {
      expect(spawnSync('shellcheck', ['--shell=sh', '-'], { input: script, encoding: 'utf8' }).stdout).toBe('');
    }
  }
});

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  const script = (yaml: string) => commandsOf(yaml)[0]?.script ?? 'exit 9';

  test('the hostname is set by hostnamectl where systemd runs, else in /etc/hostname', () => {
    using host = new Sandbox();
    host.stub('hostname');
    host.stub('hostnamectl');
    expect(host.run(script('hostname: a'), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/hostname')).toBe('a\n');
    host.write('/run/systemd/system/x', '');
    host.run(script('hostname: b'), shell);
    expect(host.calls()).toEqual(['hostname a', 'hostnamectl set-hostname b']);
  });

  test.each([
    ['ID="rocky"\nID_LIKE="rhel centos fedora"', 'fqdn: a.b.c', 'a.b.c'],
    ['ID=fedora', 'hostname: a.b', 'a.b'],
    ['ID=fedora', 'hostname: a', 'a'],
    ['ID=fedora', 'fqdn: a.b\nprefer_fqdn_over_hostname: false', 'a'],
    ['ID=ubuntu\nID_LIKE=debian', 'fqdn: a.b.c', 'a'],
    ['', 'fqdn: a.b.c', 'a'],
  ])('with %j, %j is as cloud-init prefers it there', (release, yaml, name) => {
    using host = new Sandbox();
    host.stub('hostname');
    if (release !== '') host.write('/etc/os-release', `NAME=rhel\n${release}\n`);
    expect(host.run(script(yaml), shell)).toEqual({ code: 0, output: '' });
    expect([host.read('/etc/hostname'), host.calls()]).toEqual([`${name}\n`, [`hostname ${name}`]]);
  });

  test.each([
    ['hostname: one', 'node-1\tone'],
    ['hostname: one.example.org', 'one.example.org\tone'],
    ['fqdn: two.example.org\nhostname: three', 'two.example.org\tthree'],
  ])('/etc/hosts with %j', (yaml, names) => {
    using host = new Sandbox();
    const script = commandsOf(`${yaml}\nmanage_etc_hosts: localhost`).at(-1)?.script ?? '';
    expect(host.run(script, shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/hosts')).toBe(`127.0.1.1\t${names}\n`);
  });

  test('/etc/hosts gets one line for the host', () => {
    using host = new Sandbox();
    host.write('/etc/hosts', '127.0.0.1 localhost\n127.0.1.1 old\n');
    for (let time = 0; time < 2; time++) expect(host.run(script('manage_etc_hosts: localhost'), shell).code).toBe(0);
    expect(host.read('/etc/hosts')).toBe('127.0.0.1 localhost\n127.0.1.1 old\n127.0.1.1\tnode-1\tnode-1\n');
  });

  const NTP = 'ntp: {servers: [192.0.2.1], pools: [p.example.org]}';

  test('chrony keeps its configuration and gets the servers, also the second time', () => {
    using host = new Sandbox();
    host.stub('chronyd');
    host.stub('systemctl', '[ "$1" != cat ] || [ "$2" = chronyd.service ]');
    host.write('/run/systemd/system/x', '');
    host.write('/etc/chrony.conf', 'pool 2.debian.pool.ntp.org iburst\ndriftfile /var/lib/chrony/drift\n');
    for (let time = 0; time < 2; time++) expect(host.run(script(NTP), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/chrony.conf')).toBe('pool p.example.org iburst\nserver 192.0.2.1 iburst\ndriftfile /var/lib/chrony/drift\n');
    expect(host.calls().slice(0, 4)).toEqual([
      'systemctl cat chrony.service',
      'systemctl cat chronyd.service',
      'systemctl enable chronyd.service',
      'systemctl restart chronyd.service',
    ]);
  });

  test('ntpd under OpenRC, in the place of ntpsec', () => {
    using host = new Sandbox();
    host.stub('ntpd');
    host.write('/etc/ntpsec/ntp.conf', 'server old\n');
    host.write('/etc/init.d/ntpsec', '#!/bin/sh\necho "ntpsec $1" >>/calls\n', 0o755);
    expect(host.run(script('ntp: {servers: [a], ntp_client: ntp}'), shell)).toEqual({ code: 0, output: '' });
    expect([host.read('/etc/ntpsec/ntp.conf'), host.calls()]).toEqual(['server a iburst\n', ['ntpsec restart']]);
  });

  /** On a host that has systemd's client and no other; the sandbox's /usr is this machine's. */
  const timesyncd = (yaml: string) =>
    `PATH=/stubs:/tools\n${script(yaml)}`.replaceAll(/(?:\/usr)?\/lib\/systemd\/systemd-timesyncd/g, '/stubs/systemd-timesyncd');
  const withTimesyncd = () => {
    const host = new Sandbox();
    for (const tool of ['mkdir', 'ln']) host.run(`mkdir -p /tools; ln -s "$(command -v ${tool})" /tools/${tool}`, shell);
    host.stub('systemd-timesyncd');
    host.stub('systemctl', '[ "$1 $2" != "restart fails.service" ]');
    host.write('/run/systemd/system/x', '');
    return host;
  };

  test.each(['', ', ntp_client: systemd-timesyncd'])('timesyncd gets the servers in a file of its own%s', (chosen) => {
    using host = withTimesyncd();
    host.write('/etc/systemd/timesyncd.conf', '[Time]\nNTP=old\n');
    const yaml = `ntp: {servers: [192.0.2.1, b.example.org], pools: [p.example.org]${chosen}}`;
    for (let time = 0; time < 2; time++) expect(host.run(timesyncd(yaml), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/systemd/timesyncd.conf.d/90-cluster-api.conf')).toBe('[Time]\nNTP=192.0.2.1 b.example.org p.example.org\n');
    expect(host.read('/etc/systemd/timesyncd.conf')).toBe('[Time]\nNTP=old\n');
    const calls = ['cat', 'enable', 'restart'].map((verb) => `systemctl ${verb} systemd-timesyncd.service`);
    expect(host.calls()).toEqual([...calls, ...calls]);
  });

  test('timesyncd without servers keeps its own and is started', () => {
    using host = withTimesyncd();
    expect(host.run(timesyncd('ntp:'), shell)).toEqual({ code: 0, output: '' });
    expect(host.exists('/etc/systemd/timesyncd.conf.d')).toBe(false);
    expect(host.calls().at(-1)).toBe('systemctl restart systemd-timesyncd.service');
  });

  test('without servers the client keeps its own and is started; a failed start is a failure', () => {
    using host = new Sandbox();
    host.stub('chronyd');
    host.stub('systemctl', '[ "$1" != restart ]');
    host.write('/run/systemd/system/x', '');
    expect(host.run(script('ntp:'), shell).code).toBe(1);
    expect(host.exists('/etc/chrony.conf')).toBe(false);
  });

  test('a client without a service, and no client at all, are told', () => {
    using host = new Sandbox();
    host.stub('chronyd');
    expect(host.run(script('ntp: {ntp_client: chrony}'), shell)).toEqual({
      code: 1,
      output: 'the time client is installed, and none of its services is: chrony chronyd\n',
    });
    expect(host.run(`PATH=/none; ${script('ntp: {ntp_client: chrony}')}`, shell)).toEqual({
      code: 1,
      output: 'no time client is installed on this host; install chrony\n',
    });
  });
});
