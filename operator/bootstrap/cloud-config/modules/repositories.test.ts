import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, filesOf, planOf, refusalOf } from '../testing.ts';

test('proxies and settings are files of the run', () => {
  const files = filesOf('apt: {conf: "A \\"b\\";\\n", proxy: "http://p:3128", https_proxy: "https://q/"}');
  expect(files.map(({ path, content }) => [path, Buffer.from(content).toString()])).toEqual([
    ['/etc/apt/apt.conf.d/90cluster-api-proxy', 'Acquire::http::Proxy "http://p:3128";\nAcquire::https::Proxy "https://q/";\n'],
    ['/etc/apt/apt.conf.d/94cluster-api-config', 'A "b";\n'],
  ]);
});

test('a basic template is one', () => expect(planOf('apt: {sources_list: "## template: basic\\ndeb $MIRROR x"}').steps).toHaveLength(1));

test.each(['apt:', 'apt: {preserve_sources_list: true, sources_list: x}', 'yum_repos:'])('%s: nothing to do', (yaml) =>
  expect(planOf(yaml).steps).toEqual([]),
);

test.each([
  ['apt: {preserve_sources_list: false}', 'apt.preserve_sources_list (line 1): false needs sources_list'],
  ['apt: {disable_suites: [updates]}', 'apt.disable_suites (line 1): needs sources_list'],
  ['apt: {primary: [{arches: [default], uri: "http://a", key: k}]}', 'apt.primary (line 1): needs sources_list'],
  ['apt: {security: [{arches: [default], uri: "http://a"}]}', 'apt.security (line 1): needs sources_list'],
  ['apt: {primary: [{arches: ["*"], uri: "http://a"}], sources_list: x}', 'apt.primary[0].arches[0] (line 1): is not the name of an arch'],
  ['apt: {sources_list: "## template:jinja\\ndeb {{mirror}} x"}', 'apt.sources_list (line 1): is a template of its own'],
  ['apt: {sources_list: "Types: deb\\nURIs: x\\n"}', 'apt.sources_list (line 1): is in the format of files *.sources'],
  ['apt: {sources_list: "deb [signed-by=$KEY_FILE] x"}', 'apt.sources_list (line 1): names $KEY_FILE'],
  ["apt: {sources: {a: {source: 'deb [signed-by=$KEY_FILE] x'}}}", 'apt.sources.a.source (line 1): names $KEY_FILE, and has no key'],
  ['apt: {primary: [{arches: [default], search: [x]}]}', 'apt.primary[0]'],
  ['apt: {proxy: "x\\"; y"}', 'apt.proxy (line 1): is not an address'],
  ['apt: {sources: {a: {source: "x\\0y"}}}', 'apt.sources.a.source (line 1): holds a NUL'],
  ['yum_repos: {a: {name: x}}', 'yum_repos.a.baseurl (line 1): is missing'],
  ['yum_repos: {../a: {baseurl: x}}', 'yum_repos'],
  ['yum_repos: {a: {baseurl: "x\\n[b]"}}', 'yum_repos.a.baseurl (line 1): expected a text'],
  ['zypper: {}', 'zypper (line 1): this key is not supported: use write_files'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  /** A Debian host on which `yaml` was applied. */
  function applied(yaml: string): Sandbox {
    const host = new Sandbox();
    host.write('/etc/os-release', 'ID=debian\nVERSION_CODENAME=bookworm\n');
    host.write('/etc/apt/apt.conf', '');
    host.stub('apt-get');
    host.stub('dpkg', 'echo arm64');
    host.stub('gpg', 'sed s/armoured/bytes/');
    host.stub('add-apt-repository');
    host.stub('debconf-set-selections', 'cat >>/calls');
    for (const { script } of commandsOf(yaml)) expect(host.run(script, shell)).toEqual({ code: 0, output: '' });
    return host;
  }

  test('sources with names of the host, keys, PPAs; the same file twice', () => {
    using host = applied(`apt:
  preserve_sources_list: true
  primary: [{arches: [amd64], uri: "http://a"}, {arches: [arm64, default], uri: "http://m/d"}]
  sources:
    one: {source: "deb $MIRROR $RELEASE main", key: armoured, filename: x}
    two.list: {source: 'deb [signed-by=$KEY_FILE] $SECURITY \${RELEASE}-x a''b', key: armoured}
    three: {source: "deb-src c", filename: x.list}
    four: {source: "deb new", filename: x, append: false}
    five: {source: 'ppa:a/b'}
    six:
      source: |
        deb $MIRROR $RELEASE main
        deb-src $MIRROR $RELEASE main
`);
    // In the order of their names: five, four, one, six, three, two.
    expect(host.read('/etc/apt/sources.list.d/x.list')).toBe('deb new\ndeb http://m/d bookworm main\ndeb-src c\n');
    expect(host.read('/etc/apt/sources.list.d/two.list')).toBe(
      "deb [signed-by=/etc/apt/cluster-api.gpg.d/two.gpg] http://m/d bookworm-x a'b\n",
    );
    expect([host.read('/etc/apt/trusted.gpg.d/x.gpg'), host.read('/etc/apt/cluster-api.gpg.d/two.gpg')]).toEqual(['bytes', 'bytes']);
    // As in cloud-init a line break is added to whatever is there.
    expect(host.read('/etc/apt/sources.list.d/six.list')).toBe('deb http://m/d bookworm main\ndeb-src http://m/d bookworm main\n\n');
    expect(host.calls()).toContain('add-apt-repository --no-update ppa:a/b');
  });

  test('sources.list with suites turned off', () => {
    using host = applied(`apt:
  preserve_sources_list: false
  disable_suites: [updates, bookworm/x]
  sources_list: |
    deb $MIRROR $RELEASE main
    deb [a=b c=d] $MIRROR $RELEASE-updates main
    deb-src http://x bookworm/x
    # deb http://x bookworm/x
  debconf_selections: {b: "x y z", a: "k l m"}
`);
    expect(host.read('/etc/apt/sources.list')).toBe(`deb https://deb.debian.org/debian bookworm main
# suite disabled: deb [a=b c=d] https://deb.debian.org/debian bookworm-updates main
# suite disabled: deb-src http://x bookworm/x
# deb http://x bookworm/x
`);
    expect(host.calls()).toEqual(
      ['debconf-set-selections ', 'k l m', 'x y z', 'dpkg --print-architecture'].filter((call) => host.calls().includes(call)),
    );
  });

  test('a repository of dnf; one that is there stays', () => {
    using host = applied(
      'yum_repos: {"my repo": {Base-URL: x, baseurl: "http://a/$releasever", enabled: true, gpgkey: [a, b], priority: 1}}',
    );
    expect(host.read('/etc/yum.repos.d/my-repo.repo')).toBe(
      '[my-repo]\nbase_url = x\nbaseurl = http://a/$releasever\nenabled = 1\ngpgkey = a\n\tb\npriority = 1\n\n',
    );
    const [step] = commandsOf('yum_repos: {"my repo": {baseurl: other}}');
    expect(host.run(step?.script ?? '', shell).output).toContain('stays as it is');
    expect(host.read('/etc/yum.repos.d/my-repo.repo')).not.toContain('other');
  });
});
