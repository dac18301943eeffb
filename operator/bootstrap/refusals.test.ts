/** Examples of cloud-init's documentation that are not carried out: each is refused as a whole, with the path and the line of what it is about. */
import { BootstrapDataError } from './plan.ts';
import { planBootstrap } from './planner.ts';

function refusal(text: string): BootstrapDataError {
  try {
    planBootstrap({ value: Buffer.from(text) }, { hostname: 'h', instanceID: 'i' });
  } catch (error) {
    if (error instanceof BootstrapDataError) return error;
    throw error;
  }
  throw new Error('the document was not refused');
}

const MANAGER = 'it installs an agent of a configuration manager';

test.each<[what: string, text: string, ...sentences: string[]]>([
  [
    'phone_home',
    'phone_home:\n  url: http://192.0.2.5/{{ v1.instance_id }}/\n  post: all',
    'phone_home (line 2): this key is not supported: the operator',
  ],
  ['keys from an account', 'ssh_import_id: [ours, "gh:ours"]', 'ssh_import_id (line 2): this key is not supported: whoever answers'],
  [
    'keys of users from an account',
    'users:\n  - default\n  - name: wanda\n    lock_passwd: true\n    ssh_import_id:\n      - lp:wanda',
    'users[1].ssh_import_id (line 6): this key is not supported: whoever answers',
  ],
  [
    'puppet',
    'puppet:\n  install: true\n  conf:\n    agent: {server: puppet.example.org}',
    `puppet (line 2): this key is not supported: ${MANAGER}`,
  ],
  ['chef', 'chef:\n  install_type: packages\n  server_url: https://192.0.2.6', `chef (line 2): this key is not supported: ${MANAGER}`],
  [
    'ansible',
    'package_update: true\nansible:\n  install_method: pip\n  pull: {playbook_name: site.yml}',
    `ansible (line 3): this key is not supported: ${MANAGER}`,
  ],
  ['salt', 'salt_minion:\n  conf: {master: 192.0.2.6}', `salt_minion (line 2): this key is not supported: ${MANAGER}`],
  [
    'wireguard',
    'wireguard:\n  interfaces:\n    - {name: wg0, config_path: /etc/wireguard/wg0.conf, content: x}',
    'wireguard (line 2): this key is not supported: use packages',
  ],
  ['rsyslog', 'rsyslog:\n  remotes: {log: 192.0.2.6}', 'rsyslog (line 2): this key is not supported: use packages'],
  ['lxd', 'lxd:\n  init: {storage_backend: dir}', 'lxd (line 2): this key is not supported: use snap'],
  [
    'keys of archives by a number without quotes',
    'apt:\n  sources:\n    ours:\n      source: deb [signed-by=$KEY_FILE] http://192.0.2.6/ ours main\n      keyid: 0123456701234567\n      keyserver: keys.example.org',
    'apt.sources.ours.keyid (line 6): expected a text, received number; quote it',
  ],
  [
    'mirrors that are searched for',
    'apt:\n  sources_list: x\n  primary:\n    - arches: [default]\n      uri: http://192.0.2.6\n      search: [http://192.0.2.7]\n      search_dns: true',
    'apt.primary[0].search (line 7): this key is not supported: whichever',
    'apt.primary[0].search_dns (line 8): this key is not supported: whichever',
  ],
  [
    'a time client of one’s own',
    'ntp:\n  enabled: true\n  ntp_client: ours\n  config:\n    confpath: /etc/ours\n  allow: [192.0.2.0/24]\n  peers: [a]',
    'ntp.ntp_client (line 4): is not a client that can be set up',
    'ntp.config (line 5): this key is not supported: use write_files',
    'ntp.allow (line 7): this key is not supported: a host here asks',
    'ntp.peers (line 8): this key is not supported: use servers',
  ],
  ['packages by their kind', 'packages:\n  - tool\n  - snap: [ours]', 'packages[1] (line 4): expected the name of a package'],
  ['a root that grows', 'growpart:\n  mode: auto\n  devices: [/]', 'growpart (line 2): a partition of a running system is not resized'],
  ['a file system that grows', 'resize_rootfs: noblock', 'resize_rootfs (line 2): a partition of a running system is not resized'],
  [
    'passwords that nobody knows',
    'chpasswd:\n  users:\n    - {name: wanda, type: RANDOM}',
    'chpasswd.users[0].type (line 4): a random password would be shown to nobody',
  ],
  [
    'the password of a user without a name',
    'password: secret\nssh_pwauth: true',
    'password (line 2): this key is not supported: the default user',
  ],
  [
    'keys of the host',
    'disable_root: true\ndisable_root_opts: no-pty\nssh_genkeytypes: [ed25519]\nssh_keys:\n  ed25519_private: x',
    'disable_root (line 2): root may be what the operator enters as',
    'disable_root_opts (line 3): this key is not supported: root',
    'ssh_genkeytypes (line 4): this key is not supported: the operator knows',
    'ssh_keys (line 5): this key is not supported: the operator knows',
  ],
  [
    'a document for one of several',
    'launch-index: 5\npackage_upgrade: true',
    'launch-index (line 2): this key is not supported: machines here',
  ],
  [
    'a name without its file',
    'hostname: ours\ncreate_hostname_file: false',
    'create_hostname_file (line 3): this key is not supported: the name',
  ],
  [
    'files from elsewhere',
    'write_files:\n  - path: /a\n    source: {uri: https://192.0.2.6/a}',
    'write_files[0].source (line 4): this key is not supported: put',
  ],
  ['a mount point with a space', 'mounts:\n  - [sr0, "/mnt/of ours", auto]', 'mounts[0][1] (line 3): is empty or holds white space'],
])('%s', (_, text, ...sentences) => {
  const { message, findings } = refusal(`#cloud-config\n${text}\n`);
  for (const sentence of sentences) expect(message).toContain(sentence);
  expect(findings).toHaveLength(sentences.length);
});
