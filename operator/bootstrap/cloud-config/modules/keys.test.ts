import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, refusalOf } from '../testing.ts';

const [BLOB, OTHER] = ['AAAAC3NzaC1lZDI1NTE5AAAAIexample+/==', 'AAAAB3NzaC1yc2EAAAAother'];
const KEY = `ssh-ed25519 ${BLOB} bob`;
const script = (...keys: string[]) => commandsOf(`ssh_authorized_keys: ${JSON.stringify(keys)}`)[0]?.script ?? 'exit 9';

test.each([
  ['ssh_deletekeys: true', 'ssh_deletekeys (line 1): the host keys stay as they are'],
  ['disable_root: true', 'disable_root (line 1): root may be what the operator enters as'],
  ['ssh_keys: {rsa_private: x}', 'ssh_keys (line 1): this key is not supported: the operator knows the host by its keys'],
  ['ssh_import_id: [gh:x]', 'ssh_import_id (line 1): this key is not supported: whoever answers'],
  ['ssh_authorized_keys: [1]', 'ssh_authorized_keys'],
  ['users: [{name: a, doas: [x]}]', 'users[0].doas (line 1): this key is not supported: use write_files for /etc/doas.conf'],
  ['users: [{snapuser: a@b}]', 'users[0].snapuser (line 1): this key is not supported: an account of a store'],
  ['users: [{name: a, ssh_redirect_user: true}]', 'users[0].ssh_redirect_user (line 1): this key is not supported: it points to'],
  ['write_files: [{path: /a, source: {uri: x}}]', 'write_files[0].source (line 1): this key is not supported: put the content'],
  ['apt_proxy: x', 'apt_proxy (line 1): this key is not supported: it is an old spelling'],
  ['grub-dpkg: {}', '(line 1): this key is not supported: use apt.debconf_selections'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

test('what leaves the host as it is', () =>
  expect(commandsOf('ssh_deletekeys: false\ndisable_root: false\nssh_authorized_keys: []\nssh: {emit_keys_to_console: false}')).toEqual(
    [],
  ));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test('a key that is there with another comment gets the given one, once; others stay, comments too', () => {
    using host = new Sandbox();
    host.write('/root/.ssh/authorized_keys', `# ${BLOB} of bob\nno-pty ssh-ed25519 ${BLOB} old\nssh-rsa ${OTHER} alice`);
    for (let time = 0; time < 2; time++) expect(host.run(script(KEY, 'odd [key]*'), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/root/.ssh/authorized_keys')).toBe(`# ${BLOB} of bob\nssh-rsa ${OTHER} alice\n${KEY}\nodd [key]*\n`);
  });

  test.each([
    ['AuthorizedKeysFile /etc/ssh/keys/%u .ssh/authorized_keys', '/etc/ssh/keys/root', 0o755],
    ['AuthorizedKeysFile /etc/ssh/all %h/.config/ssh/keys', '/root/.config/ssh/keys', 0o700],
    ['authorizedkeysfile=.keys/list', '/root/.keys/list', 0o700],
    ['#AuthorizedKeysFile x/%u', '/root/.ssh/authorized_keys', 0o700],
    ['AuthorizedKeysFile none', '/root/.ssh/authorized_keys', 0o700],
  ])('%s: the file that sshd reads', (config, path, mode) => {
    using host = new Sandbox();
    host.write('/etc/ssh/sshd_config', `Port 22\n${config}\n`);
    expect(host.run(script(KEY), shell)).toEqual({ code: 0, output: '' });
    expect([host.read(path), host.mode(path), host.mode(path.replace(/\/[^/]*$/, ''))]).toEqual([`${KEY}\n`, 0o600, mode]);
  });
});
