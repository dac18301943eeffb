import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { canSandbox, Sandbox, type Shell, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf } from '../testing.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIexample bob';
const SCRIPT = commandsOf(`users: [{name: bob, lock_passwd: false, ssh_authorized_keys: ['${KEY}']}]`)[0]?.script ?? 'exit 9';

/** A host with a user of the number 1000, after `before` has run there. */
function hostWith(before: string): Sandbox {
  const host = new Sandbox();
  host.write('/etc/passwd', `${host.read('/etc/passwd')}bob:x:1000:1000::/home/bob:/bin/sh\n`);
  host.write('/etc/group', `${host.read('/etc/group')}bob:x:1000:\n`);
  host.write('/etc/shadow', `${host.read('/etc/shadow')}bob:x:19000:0:99999:7:::\n`, 0o640);
  expect(host.run(`set -e\nmkdir -p /home/bob/.ssh\n${before}\nchown -hR 1000:1000 /home/bob`).output).toBe('');
  return host;
}

const ownerOf = (host: Sandbox, path: string) => {
  const { uid, gid, mode } = lstatSync(join(host.root, path));
  return `${uid}:${gid} ${(mode & 0o777).toString(8)}`;
};
const apply = (host: Sandbox, shell: Shell) => host.run(SCRIPT, shell);

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test.each(['ln -s /etc/shadow', 'mkfifo'])('nothing that waits beside the file is written through: %s', (plant) => {
    using host = hostWith(`echo old >/home/bob/.ssh/authorized_keys\n${plant} /home/bob/.ssh/authorized_keys.new`);
    const before = host.read('/etc/shadow');
    expect(apply(host, shell)).toMatchObject({ code: 0 });
    expect(host.read('/etc/shadow')).toBe(before);
    expect(host.read('/home/bob/.ssh/authorized_keys')).toBe(`old\n${KEY}\n`);
    expect(host.run('ls -A /home/bob/.ssh').output).toBe('authorized_keys\nauthorized_keys.new\n');
  });

  test.each(['ln -s /etc/cron.d', 'mkfifo', 'mkdir'])('what is no file in its place is refused: %s', (plant) => {
    using host = hostWith(`mkdir /etc/cron.d\n${plant} /home/bob/.ssh/authorized_keys`);
    expect(apply(host, shell)).toMatchObject({ code: 1, output: expect.stringContaining('/home/bob/.ssh/authorized_keys ') as unknown });
    expect(host.run('ls -A /etc/cron.d').output).toBe('');
  });

  test('a link on the way to the file is refused', () => {
    using host = hostWith('rmdir /home/bob/.ssh; mkdir -p /etc/keys; ln -s /etc /home/bob/.config');
    host.write('/etc/ssh/sshd_config', 'AuthorizedKeysFile .config/keys/own\n');
    expect(apply(host, shell)).toMatchObject({
      code: 1,
      output: expect.stringContaining('symbolic link, which is not followed') as unknown,
    });
    expect(host.exists('/etc/keys/own')).toBe(false);
  });

  test('every directory that is made below home is the user’s; a mode that the file has stays', () => {
    using host = hostWith('rmdir /home/bob/.ssh');
    host.write('/etc/ssh/sshd_config', 'AuthorizedKeysFile .config/ssh/keys\n');
    expect(apply(host, shell)).toMatchObject({ code: 0 });
    expect(['', '/ssh', '/ssh/keys'].map((path) => ownerOf(host, `home/bob/.config${path}`))).toEqual([
      '1000:1000 700',
      '1000:1000 700',
      '1000:1000 600',
    ]);
    host.run('chmod 0644 /home/bob/.config/ssh/keys');
    expect(apply(host, shell)).toMatchObject({ code: 0 });
    expect(ownerOf(host, 'home/bob/.config/ssh/keys')).toBe('1000:1000 644');
  });

  test('a file outside of home', () => {
    using host = hostWith(':');
    host.write('/etc/ssh/sshd_config', 'AuthorizedKeysFile /etc/ssh/keys/%u\n');
    expect(apply(host, shell)).toMatchObject({ code: 0 });
    expect([ownerOf(host, 'etc/ssh/keys'), ownerOf(host, 'etc/ssh/keys/bob')]).toEqual(['0:0 755', '1000:1000 600']);
    expect(host.read('/etc/ssh/keys/bob')).toBe(`${KEY}\n`);
  });
});
