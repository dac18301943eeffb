import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const FINGERPRINT = '616102A3C2D27794BE90DC9527B838201A265425';
const keyed = (fields: string) => `apt: {sources: {ours: {${fields}}}}`;
const stepsOf = (yaml: string) => commandsOf(yaml).map(({ name }) => name);
const NEITHER = 'is neither the fingerprint of a key (40 hexadecimal digits) nor its last 16 or 8 digits';

test.each([
  ['keyid: 12345678', 'keyid (line 1): expected a text, received number; quote it'],
  ['keyid: 0xDEADBEEF', 'keyid (line 1): expected a text, received number; quote it'],
  ['keyid: 1234567812345678', 'keyid (line 1): expected a text, received number; quote it'],
  ['keyid: 1234567.8', 'keyid (line 1): expected a text, received number; quote it'],
  ['keyid: ours@example.org', `keyid (line 1): ${NEITHER}`],
  ['keyid: 123456789', `keyid (line 1): expected a text, received number; quote it`],
  ["keyid: '123456789'", `keyid (line 1): ${NEITHER}`],
  ["keyid: ''", `keyid (line 1): ${NEITHER}`],
  ["keyid: '--help'", `keyid (line 1): ${NEITHER}`],
  ["keyid: '12345678', keyserver: 'a b'", 'keyserver (line 1): is not the name or the address of a key server'],
  ["keyid: '12345678', keyserver:", 'keyserver (line 1): expected a text, received null'],
])('%s is refused', (fields, message) => expect(refusalOf(keyed(fields))).toBe(`apt.sources.ours.${message}`));

test('eight digits are told as a warning, where the key is fetched', () => {
  expect(planOf(keyed("keyid: '0x1A265425'")).findings).toEqual(['KeyIDShort apt.sources.ours.keyid']);
  expect(planOf("apt: {sources_list: x, primary: [{arches: [default], uri: 'http://a', keyid: 1A265425}]}").findings).toEqual([
    'KeyIDShort apt.primary[0].keyid',
  ]);
  for (const fields of ["keyid: '1A265425', key: given", 'keyid: 27B838201A265425', `keyid: ${FINGERPRINT}`])
    expect(planOf(keyed(fields)).findings).toEqual([]);
});

test('tools for keys come after the answers to packages and before everything else, where there are keys', () => {
  expect(
    stepsOf(`apt: {sources_list: x, debconf_selections: {a: b}, sources: {one: {key: k}, two: {source: deb x}}, conf: "y\\n"}`),
  ).toEqual(['apt.debconf_selections', 'apt.gnupg', 'apt.sources_list', 'apt.sources one', 'apt.sources two']);
  expect(stepsOf(keyed('source: deb x'))).toEqual(['apt.sources ours']);
  // Keys of mirrors go with sources.list, which stays here.
  expect(stepsOf("apt: {preserve_sources_list: true, primary: [{arches: [default], uri: 'http://a', key: k}]}")).toEqual([]);
});

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  /** A host whose key server gives the key at the nth asking. */
  function hostOf(nth: number): Sandbox {
    const host = new Sandbox();
    host.write('/etc/os-release', 'ID=debian\nVERSION_CODENAME=bookworm\n');
    for (const name of ['apt-get', 'dirmngr', 'gpgconf', 'sleep']) host.stub(name);
    host.stub('dpkg', 'echo arm64');
    host.stub(
      'gpg',
      `echo "$GNUPGHOME" >/gnupghome
case "$*" in
*--recv-keys*) echo x >>/tries; [ "$(grep -c x /tries)" -ge ${nth} ] || { echo "gpg: keyserver receive failed: No data" >&2; exit 2; } ;;
*--export*) printf bytes; [ -d "$GNUPGHOME" ] ;;
esac`,
    );
    return host;
  }
  const run = (host: Sandbox, yaml: string) => commandsOf(yaml).map(({ script }) => host.run(script, shell));

  test('a key is fetched, and lies where a given one would', () => {
    using host = hostOf(1);
    const yaml = `apt:
  sources_list: x
  security: [{arches: [default], uri: "http://a", keyid: 27B838201A265425}]
  sources:
    one: {source: 'deb [signed-by=$KEY_FILE] x', keyid: '6161 02A3 C2D2 7794 BE90  DC95 27B8 3820 1A26 5425', keyserver: 'hkp://keys:80'}
    two: {keyid: '0x27B838201A265425', filename: x.list}
`;
    for (const result of run(host, yaml)) expect(result).toEqual({ code: 0, output: '' });
    const fetched = (server: string, id: string) => [
      `gpg --batch --no-tty --keyserver=${server} --recv-keys ${id}`,
      `gpg --batch --export ${id}`,
      'gpgconf --kill all',
    ];
    expect(host.calls()).toEqual([
      'dpkg --print-architecture',
      ...fetched('keyserver.ubuntu.com', '27B838201A265425'),
      'dpkg --print-architecture',
      ...fetched('hkp://keys:80', FINGERPRINT),
      'dpkg --print-architecture',
      ...fetched('keyserver.ubuntu.com', '0x27B838201A265425'),
    ]);
    for (const file of ['trusted.gpg.d/security', 'cluster-api.gpg.d/one', 'trusted.gpg.d/x'])
      expect([host.read(`/etc/apt/${file}.gpg`), host.mode(`/etc/apt/${file}.gpg`)]).toEqual(['bytes', 0o644]);
    expect(host.read('/etc/apt/sources.list.d/one.list')).toBe('deb [signed-by=/etc/apt/cluster-api.gpg.d/one.gpg] x\n');
    expect(host.read('/gnupghome')).toMatch(/^\/tmp\/\S+\n$/);
    expect(host.exists(host.read('/gnupghome').trim())).toBe(false);
  });

  test('a server is asked three times; then the failure names the source, the key and the server', () => {
    using host = hostOf(3);
    expect(run(host, keyed(`keyid: ${FINGERPRINT}`)).at(-1)).toEqual({ code: 0, output: '' });
    expect(host.calls().filter((call) => call === 'sleep 1')).toHaveLength(2);

    using other = hostOf(4);
    expect(run(other, keyed(`keyid: ${FINGERPRINT}, keyserver: keys.example.org`)).at(-1)).toEqual({
      code: 1,
      output: `gpg: keyserver receive failed: No data\napt.sources ours: the key ${FINGERPRINT} could not be fetched from keys.example.org in 3 tries; can this host reach that server, and has it the key?\n`,
    });
    expect(other.calls().filter((call) => call.includes('--recv-keys'))).toHaveLength(3);
    expect([other.exists('/etc/apt/trusted.gpg.d/ours.gpg'), other.exists(other.read('/gnupghome').trim())]).toEqual([false, false]);
  });

  test('a server that gives another key has not given this one', () => {
    using host = hostOf(1);
    host.stub('gpg');
    expect(run(host, keyed(`keyid: ${FINGERPRINT}`)).at(-1)).toMatchObject({ code: 1 });
    expect(host.exists('/etc/apt/trusted.gpg.d/ours.gpg')).toBe(false);
  });

  test('gnupg and dirmngr are installed where they are missing, and named where that was of no use', () => {
    using host = new Sandbox();
    for (const name of ['apt-get', 'sed', 'tr', 'grep', 'mkdir']) host.stub(name);
    const bare = (yaml: string) => commandsOf(yaml).map(({ script }) => host.run(`PATH=/stubs\n${script}`, shell));
    const installed = () =>
      host
        .calls()
        .filter((call) => call.startsWith('apt-get '))
        .map((call) => call.replaceAll(/-o \S+ /g, ''));
    expect(bare(keyed('keyid: 27B838201A265425')).at(-1)).toEqual({
      code: 127,
      output: 'gpg is not installed on this host; install gnupg\n',
    });
    expect(installed()).toEqual(['apt-get --assume-yes --quiet update', 'apt-get --assume-yes --quiet install gnupg dirmngr']);
    host.stub('gpg');
    expect(bare(keyed('keyid: 27B838201A265425')).at(-1)).toEqual({
      code: 127,
      output: 'dirmngr is not installed on this host; install dirmngr\n',
    });
    expect(installed().at(-1)).toBe('apt-get --assume-yes --quiet install dirmngr');
    const before = installed().length;
    bare(keyed('key: given'));
    expect(installed()).toHaveLength(before);
  });
});
