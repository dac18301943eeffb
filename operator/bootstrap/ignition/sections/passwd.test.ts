import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { document, planOf, refusalOf, scriptOf } from '../testing.ts';

const users = (...list: object[]) => document({ passwd: { users: list } });
const groups = (...list: object[]) => document({ passwd: { groups: list } });
const HASH = '$6$salt$secret';

test('golden: every option', () => {
  const user = {
    name: 'core',
    uid: 1500,
    gecos: 'the core',
    homeDir: '/srv/core',
    primaryGroup: 'ops',
    groups: ['wheel', 'sudo'],
    shell: '/bin/sh',
    noUserGroup: true,
    system: true,
    noLogInit: true,
    noCreateHome: true,
    passwordHash: HASH,
  };
  expect(scriptOf(users(user), 'core').split('\n').slice(2, -1)).toEqual([
    'if id -u core >/dev/null 2>&1; then',
    `  usermod --home /srv/core --move-home --uid 1500 --comment 'the core' --gid ops --groups wheel,sudo --shell /bin/sh "$user"`,
    'else',
    `  useradd --home-dir /srv/core --no-create-home --no-user-group --system --no-log-init --uid 1500 --comment 'the core' --gid ops --groups wheel,sudo --shell /bin/sh "$user"`,
    'fi',
    `printf '%s\\n' 'core:${HASH}' | chpasswd -e`,
  ]);
  expect(scriptOf(groups({ name: 'ops', gid: 7, system: true, passwordHash: HASH }), 'ops')).toContain(
    `  groupadd --gid 7 --system --password '*' ops\n`,
  );
});

test("2.0's create is what later stands beside it", () => {
  const text = document({ passwd: { users: [{ name: 'core', create: { uid: 7, groups: ['ops'] } }] } }, '2.0.0');
  expect(scriptOf(text, 'core')).toContain('useradd --create-home --uid 7 --groups ops "$user"');
});

test.each([
  [users({ name: 'a b' }), 'passwd.users[0].name (line 8): is not the name of a user or a group'],
  [users({ name: 'root', shouldExist: false }), 'passwd.users[0].shouldExist (line 9): a host cannot be without root'],
  [users({ name: 'a', passwordHash: 'a:b' }), 'passwd.users[0].passwordHash (line 9): holds a colon'],
  [users({ name: 'a' }, { name: 'a' }), 'passwd.users[1].name (line 11): is named twice'],
  [users({ name: 'a', uid: '7' }), 'passwd.users[0].uid (line 9): expected number'],
])('%#: is refused', (text, message) => expect(refusalOf(text)).toContain(message));

(canSandbox ? describe : describe.skip).each(SHELLS)('on a host, under %s', (shell) => {
  const run = (host: Sandbox, text: string) =>
    host.runAll(
      planOf(text).steps.flatMap((step) => (step.kind === 'command' ? [step.script] : [])),
      shell,
    );
  test('what a mount made in a home is the user’s, and nothing else', () => {
    using host = new Sandbox();
    host.stub('mount');
    const user = { name: 'alice', homeDir: '/srv/homes/alice' };
    const filesystem = { device: '/dev/vdb', format: 'ext4', path: '/srv/homes/alice/data/deep' };
    const text = document({ storage: { filesystems: [filesystem] }, passwd: { users: [user, { name: 'bob' }] } });
    const script = (name: string) => scriptOf(text, name);
    const steps = ['deep mount', 'passwd.users[0]', 'passwd.users[1]', 'users homes'];
    host.runAll(['mkdir -p /srv/homes /run/cluster-api-provider-remote', ...steps.map(script)], shell);
    const { output } = host.run(
      'cd /srv/homes && stat -c "%n %U %a" . alice alice/data alice/data/deep; ls /run/cluster-api-provider-remote',
      shell,
    );
    expect(output).toBe('. root 755\nalice alice 700\nalice/data alice 700\nalice/data/deep alice 700\n');
  });

  const field = (host: Sandbox, file: string, name: string) =>
    host
      .read(file)
      .split('\n')
      .find((line) => line.startsWith(`${name}:`));

  test('accounts are made, and changed where they exist', () => {
    using host = new Sandbox();
    const text = document({
      passwd: {
        groups: [{ name: 'ops', gid: 1700 }],
        users: [{ name: 'core', uid: 1500, groups: ['ops'], sshAuthorizedKeys: ['ssh-ed25519 AAAAkey me'] }],
      },
    });
    expect(run(host, text).map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(field(host, '/etc/group', 'ops')).toBe('ops:*:1700:core');
    expect(field(host, '/etc/shadow', 'core')).toMatch(/^core:\*:/);
    expect(host.read('/home/core/.ssh/authorized_keys')).toBe('ssh-ed25519 AAAAkey me\n');
    const again = run(
      host,
      document({ passwd: { groups: [{ name: 'ops', gid: 1700 }], users: [{ name: 'core', gecos: 'x', passwordHash: HASH }] } }),
    );
    expect(again.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(field(host, '/etc/passwd', 'core')).toMatch(/^core:x:1500:\d+:x:\/home\/core:/);
    expect(field(host, '/etc/shadow', 'core')).toContain(`core:${HASH}:`);
    expect(run(host, groups({ name: 'ops', gid: 7 })).at(-1)).toEqual({ code: 1, output: 'group ops exists with another number than 7\n' });
  });

  test('accounts go that should not exist', () => {
    using host = new Sandbox();
    run(host, document({ passwd: { groups: [{ name: 'ops' }], users: [{ name: 'core' }] } }));
    const gone = document({ passwd: { groups: [{ name: 'ops', shouldExist: false }], users: [{ name: 'core', shouldExist: false }] } });
    for (let time = 1; time <= 2; time++) expect(run(host, gone).map(({ code }) => code)).toEqual([0, 0, 0]);
    expect([field(host, '/etc/group', 'ops'), field(host, '/etc/passwd', 'core'), host.exists('/home/core')]).toEqual([
      undefined,
      undefined,
      false,
    ]);
  });
});
