import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const script = (yaml: string) => commandsOf(yaml)[0]?.script ?? 'exit 9';

test('texts and hashes, in both forms; everybody has to change a password, the hashed last', () => {
  const lines = script(`chpasswd:
  users:
  - {name: a, password: $6$salt$hash}
  - {name: b, password: "p:w'x", type: text}
  list: [c:plain, 'd:$5$salt$hash']
`).split('\n');
  expect(lines.slice(2)).toEqual([
    `printf '%s\\n' 'b:p:w'\\''x' c:plain | chpasswd`,
    `printf '%s\\n' 'a:$6$salt$hash' 'd:$5$salt$hash' | chpasswd -e`,
    ...['b', 'c', 'a', 'd'].map((name) => `passwd --expire ${name}`),
    '',
  ]);
});

test('a list as text, and nobody has to change a password', () => {
  const text = script('chpasswd:\n  expire: false\n  list: |\n    a:x y\n    b:z\n');
  expect(text).toContain("printf '%s\\n' 'a:x y' b:z | chpasswd\n");
  expect(text).not.toContain('expire');
});

test.each(['chpasswd:', 'chpasswd: {expire: false}', 'ssh_pwauth: unchanged', 'ssh_pwauth:'])('%s: nothing to do', (yaml) =>
  expect(planOf(yaml).steps).toEqual([]),
);

test.each([
  ['chpasswd: {list: ["a:R"]}', 'chpasswd.list[0] (line 1): a random password would be shown to nobody'],
  ['chpasswd: {users: [{name: a, type: RANDOM}]}', 'chpasswd.users[0].type (line 1): a random password'],
  ['chpasswd: {users: [{name: a}]}', 'chpasswd.users[0].password (line 1): is missing'],
  ['chpasswd: {list: [a]}', "chpasswd.list[0] (line 1): is not 'user:password'"],
  ['chpasswd: {list: ["a;b:c"]}', "chpasswd.list[0] (line 1): is not 'user:password'"],
  ['chpasswd: {list: 3}', "chpasswd.list (line 1): expected a list of 'user:password'"],
  ['ssh_pwauth: [yes]', 'ssh_pwauth (line 1): expected true, false or unchanged'],
  ['password: x', 'password (line 1): this key is not supported: the default user'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test('passwords are set', () => {
    using host = new Sandbox();
    expect(host.run(script('chpasswd: {users: [{name: root, password: $6$salt$hash}]}'), shell).code).toBe(0);
    expect(host.read('/etc/shadow')).toMatch(/^root:\$6\$salt\$hash:0:/);
  });

  test.each([
    ['Port 22\nPasswordAuthentication yes\n', 'Port 22\nPasswordAuthentication no\n'],
    ['Port 22\n passwordAUTHENTICATION=yes\n', 'Port 22\nPasswordAuthentication no\n'],
    ['Port 22\n#PasswordAuthentication yes\n', 'Port 22\n#PasswordAuthentication yes\nPasswordAuthentication no\n'],
    ['', 'PasswordAuthentication no\n'],
  ])('sshd_config of %j', (before, after) => {
    using host = new Sandbox();
    host.write('/etc/ssh/sshd_config', before);
    for (let time = 0; time < 2; time++) expect(host.run(script('ssh_pwauth: false'), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/ssh/sshd_config')).toBe(after);
  });

  test('a file of its own where sshd_config includes such; sshd is told where it runs, once', () => {
    using host = new Sandbox();
    host.stub('systemctl');
    host.write('/run/systemd/system/x', '');
    host.write('/etc/ssh/sshd_config', 'Include /etc/ssh/sshd_config.d/*.conf\n');
    for (let time = 0; time < 2; time++) expect(host.run(script('ssh_pwauth: yes'), shell)).toEqual({ code: 0, output: '' });
    const file = '/etc/ssh/sshd_config.d/40-cluster-api.conf';
    expect([host.read(file), host.mode(file), host.calls()]).toEqual([
      'PasswordAuthentication yes\n',
      0o600,
      ['systemctl try-reload-or-restart ssh.service'],
    ]);
  });
});
