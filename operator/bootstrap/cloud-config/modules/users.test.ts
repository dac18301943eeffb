import { spawnSync } from 'node:child_process';
import { canSandbox, Sandbox, type Shell, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, filesOf, planOf, refusalOf } from '../testing.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIexample bob';

/** Runs the steps as the runner does. */
function apply(host: Sandbox, yaml: string, shell: Shell): string {
  const { steps } = planOf(yaml);
  return steps
    .map((step) => {
      if (step.kind === 'file') {
        host.write(step.path, Buffer.from(step.content).toString(), step.mode);
        return '';
      }
      if (step.kind !== 'command') throw new Error('users need no reboot');
      const { code, output } = host.run(step.script, shell);
      return code === 0 ? output : `${output}exit ${code ?? 'null'}`;
    })
    .join('');
}

const shadowOf = (host: Sandbox, name: string) =>
  host
    .read('/etc/shadow')
    .split('\n')
    .find((line) => line.startsWith(`${name}:`))
    ?.split(':')[1];
const passwdOf = (host: Sandbox, name: string) =>
  host
    .read('/etc/passwd')
    .split('\n')
    .find((line) => line.startsWith(`${name}:`));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test('a new user with all it has', () => {
    using host = new Sandbox();
    const output = apply(
      host,
      `groups: [ops, {db: [root, nobody-here]}]
users:
- name: bob
  gecos: Bob B.
  uid: 1234
  primary_group: staff
  groups: [ops, wheel]
  homedir: /home/bob2
  shell: /bin/sh
  hashed_passwd: $6$salt$hash
  lock_passwd: false
  expiredate: 2032-09-01
  ssh_authorized_keys: ['${KEY}', '${KEY}', ssh-rsa BBBB other]
`,
      shell,
    );
    expect(output).toContain('user nobody-here does not exist and is not added to group db');
    expect(passwdOf(host, 'bob')).toMatch(/^bob:x:1234:\d+:Bob B\.:\/home\/bob2:\/bin\/sh$/);
    expect(shadowOf(host, 'bob')).toBe('$6$salt$hash');
    const groups = host.read('/etc/group');
    for (const line of [/^staff:x:\d+:$/m, /^ops:x:\d+:bob$/m, /^wheel:x:\d+:bob$/m, /^db:x:\d+:root$/m]) expect(groups).toMatch(line);
    expect(host.read('/home/bob2/.ssh/authorized_keys')).toBe(`${KEY}\nssh-rsa BBBB other\n`);
    expect([host.mode('/home/bob2/.ssh'), host.mode('/home/bob2/.ssh/authorized_keys')]).toEqual([0o700, 0o600]);
  });

  test.each([
    ['passwd: $6$a$b', /^!\$6\$a\$b$/],
    ['passwd: $6$a$b, lock_passwd: false', /^\$6\$a\$b$/],
    ['plain_text_passwd: "pa:ss w\'ord", lock_passwd: false', /^\$(6|y)\$/],
    ['lock_passwd: false', /^!$/],
    ['passwd: "", lock_passwd: false', /^!$/],
    ['hashed_passwd: "", lock_passwd: false', /^!$/],
    ['plain_text_passwd: "", lock_passwd: false', /^!$/],
    ['hashed_passwd: $6$a$b, lock_passwd: "yes"', /^!\$6\$a\$b$/],
    ['gecos: x', /^!/],
  ])('password of a new user: %s', (fields, expected) => {
    using host = new Sandbox();
    host.write('/etc/pam.d/chpasswd', 'password required pam_unix.so sha512\n');
    expect(apply(host, `users: [{name: bob, ${fields}}]`, shell)).not.toContain('exit');
    expect(shadowOf(host, 'bob')).toMatch(expected);
  });

  test.each([
    ['$6$old$hash', 'passwd: $6$new$x, lock_passwd: false', '$6$old$hash'],
    ['!$6$old$hash', 'lock_passwd: false', '$6$old$hash'],
    ['!', 'lock_passwd: false', '!'],
    ['!', 'hashed_passwd: "", lock_passwd: false', '!'],
    ['!$6$old$hash', 'plain_text_passwd: "", lock_passwd: false', '$6$old$hash'],
    ['$6$old$hash', 'gecos: x', '!$6$old$hash'],
    ['$6$old$hash', 'hashed_passwd: $6$new$x, lock_passwd: false', '$6$new$x'],
  ])('password %s of an existing user, with %s', (before, fields, after) => {
    using host = new Sandbox();
    host.write('/etc/passwd', `${host.read('/etc/passwd')}bob:x:1000:1000:Old:/home/bob:/bin/sh\n`);
    host.write('/etc/shadow', `${host.read('/etc/shadow')}bob:${before}:19000:0:99999:7:::\n`, 0o640);
    apply(host, `users: [{name: bob, ${fields}}]`, shell);
    expect(shadowOf(host, 'bob')).toBe(after);
    expect(passwdOf(host, 'bob')).toContain(':Old:');
  });

  test('keys of an existing user stay; a last line without a break too; twice changes nothing', () => {
    using host = new Sandbox();
    host.write('/root/.ssh/authorized_keys', 'ssh-rsa OLD');
    const yaml = `users: [{name: root, ssh_authorized_keys: ['${KEY}']}]`;
    apply(host, yaml, shell);
    apply(host, yaml, shell);
    expect(host.read('/root/.ssh/authorized_keys')).toBe(`ssh-rsa OLD\n${KEY}\n`);
  });

  test('a link in place of the keys file is not followed', () => {
    using host = new Sandbox();
    host.run('mkdir /root/.ssh && ln -s /etc/shadow /root/.ssh/authorized_keys');
    expect(apply(host, `users: [{name: root, ssh_authorized_keys: ['${KEY}']}]`, shell)).toContain('symbolic link');
    expect(host.read('/etc/shadow')).not.toContain('ssh-ed25519');
  });

  test('a missing useradd is named', () => {
    using host = new Sandbox();
    const step = commandsOf('users: [bob]')[0];
    const { code, output } = host.run(`PATH=/none; ${step?.script ?? ''}`, shell);
    expect([code, output]).toEqual([127, expect.stringContaining('useradd is not installed on this host')]);
  });

  test('sudo: sudoers includes the directory, once; rules that visudo refuses are removed', () => {
    using host = new Sandbox();
    host.write('/etc/sudoers', 'root ALL=(ALL) ALL\n', 0o440);
    host.stub('visudo', 'for file; do :; done; ! grep -q broken "$file"');
    const yaml = 'users: [{name: a.b, sudo: ["ALL=(ALL) NOPASSWD:ALL", null]}]';
    apply(host, yaml, shell);
    apply(host, yaml, shell);
    expect(host.read('/etc/sudoers')).toBe('root ALL=(ALL) ALL\n\n#includedir /etc/sudoers.d\n');
    expect(host.read('/etc/sudoers.d/90-cluster-api-a+b')).toBe('# User rules for a.b\na.b ALL=(ALL) NOPASSWD:ALL\n');
    expect(apply(host, 'users: [{name: c, sudo: broken}]', shell)).toContain('exit 1');
    expect(host.exists('/etc/sudoers.d/90-cluster-api-c')).toBe(false);
  });
});

const ALL = `groups: {a: [b], c: d}
users:
- {name: bob, groups: 'x, y', passwd: $6$a, lock_passwd: false, sudo: ALL, ssh_authorized_keys: ["${KEY}"]}
- {name: svc, system: true, no_user_group: true, no_log_init: true, inactive: '3', selinux_user: u, plain_text_passwd: secret}
`;

test('groups of a map come in the order of their names, as those get their numbers', () => {
  expect(commandsOf('groups: {zeta: [], alpha: []}').map(({ name }) => name)).toEqual(['groups alpha', 'groups zeta']);
  expect(commandsOf('groups: [zeta, alpha]').map(({ name }) => name)).toEqual(['groups zeta', 'groups alpha']);
});

test('no password or key is an argument of a program', () => {
  const lines = commandsOf(ALL).flatMap((step) => step.script.split('\n'));
  for (const line of lines.filter((one) => /\$6\$a|secret|AAAAC3/.test(one)))
    expect(line).toMatch(/^\s*(printf '%s\\n' \S+ \| chpasswd|set_key )/);
  expect(filesOf(ALL).map((step) => step.mode)).toEqual([0o440]);
});

const hasShellcheck = spawnSync('shellcheck', ['--version']).status === 0;
(hasShellcheck ? test : test.skip)('shellcheck finds nothing in the scripts', () => {
  for (const { script } of commandsOf(ALL)) {
    expect(spawnSync('shellcheck', ['--shell=sh', '--exclude=SC2016', '-'], { input: script, encoding: 'utf8' }).stdout).toBe('');
  }
});

test('each user has another file for sudo', () => {
  const files = filesOf(`users: [${['a.b', 'a_b', 'a_', 'a$', 'a-b'].map((name) => `{name: ${name}, sudo: ALL}`).join(', ')}]`);
  expect(new Set(files.map(({ path }) => path)).size).toBe(5);
  for (const { path } of files) expect(path).toMatch(/^\/etc\/sudoers\.d\/90-cluster-api-[^.~]+$/);
});

test('golden: useradd', () => {
  const lines = commandsOf(ALL).flatMap((step) => step.script.split('\n').filter((line) => line.startsWith('  useradd')));
  expect(lines).toEqual([
    '  useradd --groups x,y --create-home "$user"',
    '  useradd --inactive 3 --selinux-user u --no-log-init --no-user-group --system --no-create-home "$user"',
  ]);
});

test('users by name, in lists and with hyphens; the default user is told and left out', () => {
  const { steps, findings } = planOf('users: [default, "a, b", [c], {name: d, lock-passwd: false, sudo: false, inactive: true}]');
  expect(steps.map((step) => step.name)).toEqual(['users[1] a', 'users[1] b', 'users[2] c', 'users[3] d']);
  expect(findings).toEqual(['DefaultUserIgnored users[0]']);
});

test('an account that an empty password would open is told', () => {
  const findings = (fields: string) => planOf(`users: [{name: bob, ${fields}}]`).findings;
  for (const key of ['passwd', 'hashed_passwd', 'plain_text_passwd']) {
    expect(findings(`${key}: '', lock_passwd: false`)).toEqual(['EmptyPassword users[0]']);
    expect(findings(`${key}: ''`)).toEqual([]);
    expect(findings(`${key}: $6$a$b, lock_passwd: false`)).toEqual([]);
  }
  expect(findings("passwd: '', hashed_passwd: $6$a$b, lock_passwd: false")).toEqual([]);
});

test('what is true and false is what Python takes for it', () => {
  const useradd = (value: string) => /useradd( .*)? --system/.test(commandsOf(`users: [{name: a, system: ${value}}]`)[0]?.script ?? '');
  for (const value of ['true', 'yes', '1', '2', "'true'", "'1'"]) expect([value, useradd(value)]).toEqual([value, true]);
  for (const value of ['false', 'off', '0', 'null', "''"]) expect([value, useradd(value)]).toEqual([value, false]);
});

test('entries of one name are one user: the first says what both say', () => {
  const { steps, findings } = planOf(`users:
- {name: bob, gecos: First, sudo: [], ssh_authorized_keys: ['${KEY}']}
- alice
- {name: bob, gecos: Second, shell: /bin/sh, sudo: ALL, ssh_authorized_keys: [ssh-rsa AAAAsecond]}
- [alice]
`);
  expect(steps.map(({ name }) => name)).toEqual(['users[0] bob', 'users[1] alice']);
  const [bob] = steps.flatMap((step) => (step.kind === 'command' ? [step.script] : []));
  expect(bob).toContain('useradd --comment First --shell /bin/sh --create-home');
  expect(bob).toContain(KEY);
  expect(bob).not.toContain('AAAAsecond');
  expect(findings).toEqual(['DuplicateUser users[2]', 'DuplicateUser users[3]']);
});

test.each([
  [
    'users: [{name: a, system: true}, {name: a, ssh_authorized_keys: [k]}]',
    'users[0].ssh_authorized_keys (line 1): ssh_authorized_keys needs a home',
  ],
  ['users: [{gecos: x}]', 'users[0].name (line 1): is missing'],
  ['users: [{name: a b}]', 'users[0].name (line 1): is not the name of a user or a group'],
  ['users: [{name: -x}]', 'users[0].name (line 1): is not the name'],
  ['users: [{name: a, ssh_import_id: [gh:x]}]', 'users[0].ssh_import_id (line 1): this key is not supported'],
  ['users: [{name: a, system: true, ssh_authorized_keys: [k]}]', 'users[0].ssh_authorized_keys (line 1): ssh_authorized_keys needs a home'],
  ['users: [{name: a, plain_text_passwd: "a\\nroot:x"}]', 'users[0].plain_text_passwd (line 1): holds a line break'],
  ['users: [{name: a, sudo: "x\\ny"}]', 'users[0].sudo (line 1): '],
  ['users: [1]', 'users[0] (line 1): '],
  ['users: {a: true}', 'users (line 1): expected a list'],
  ['users: [{name: a, groups: {b: c}}]', 'users[0].groups (line 1): expected the names of groups'],
  ['users: [{name: a, plain_text_passwd: 12345}]', 'users[0].plain_text_passwd (line 1): expected a text, received number; quote it'],
  ...['system', 'no_create_home', 'no_user_group', 'no_log_init', 'create_groups', 'lock_passwd'].flatMap((key) =>
    ["'false'", "'no'", "'0'", 'x', '[]'].map((value): [string, string] => [
      `users: [{name: a, ${key}: ${value}}]`,
      `users[0].${key} (line 1): expected true or false without quotes`,
    ]),
  ),
  ['groups: [1]', 'groups (line 1): expected group names'],
  ['groups: [a;b]', 'groups (line 1): '],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));
