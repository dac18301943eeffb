import { dataURL, document, refusalOf, scriptOf } from '../testing.ts';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const text = (contents: object, ignition: object = {}) => document({ storage: { files: [{ path: '/a', contents }] } }, '3.4.0', ignition);
const lines = (...args: Parameters<typeof text>) => scriptOf(text(...args), 'fetch').split('\n');

const between = (script: string[], first: string, last: string): string[] =>
  script.slice(script.indexOf(first), script.indexOf(last, script.indexOf(first)) + 1);

const ALWAYS = [
  'proto = "=http,https"',
  'proto-redir = "=http,https"',
  'globoff',
  'silent',
  'show-error',
  'fail',
  'retry = 5',
  'retry-connrefused',
];

test('golden: headers go to no other address than that of the document', () => {
  const script = lines({ source: 'https://h/x', httpHeaders: [{ name: 'Authorization', value: 'Bearer "x"' }] });
  const rest = [...ALWAYS, 'connect-timeout = 10', 'speed-limit = 1', 'speed-time = 10', 'END'];
  expect(between(script, "next=$(fetch <<'END'", 'fi')).toEqual([
    "next=$(fetch <<'END'",
    'url = "https://h/x"',
    'header = "Authorization: Bearer \\"x\\""',
    'write-out = "%{redirect_url}"',
    ...rest,
    ')',
    'if [ -n "$next" ]; then',
    `  next=$(printf '%s' "$next" | sed 's/[\\\\"]/\\\\&/g')`,
    `  { printf 'url = "%s"\\nlocation\\n' "$next"; cat; } <<'END' | fetch`,
    ...rest,
    'fi',
  ]);
});

test('golden: what curl is told, on its standard input', () => {
  const script = lines(
    { source: 'https://h/x?a=b', compression: 'gzip' },
    { timeouts: { httpResponseHeaders: 3, httpTotal: 60 }, proxy: { httpsProxy: 'http://p:3128', noProxy: ['a', 'b'] } },
  );
  expect(between(script, 'fetch() { curl --config - --output "$part.gz"; }', 'gzip -dc "$part.gz" >"$part"')).toEqual([
    'fetch() { curl --config - --output "$part.gz"; }',
    "fetch <<'END'",
    'url = "https://h/x?a=b"',
    'location',
    ...ALWAYS,
    'connect-timeout = 3',
    'speed-limit = 1',
    'speed-time = 3',
    'max-time = 60',
    'retry-max-time = 60',
    'proxy = "http://p:3128"',
    'noproxy = "a,b"',
    'END',
    'gzip -dc "$part.gz" >"$part"',
  ]);
});

test('a hash is compared before anything gets into the file', () => {
  const script = lines({ source: 'http://h/x', verification: { hash: `sha256-${'A'.repeat(64)}` } });
  expect(script.indexOf('sum=$(sha256sum "$part")')).toBeGreaterThan(0);
  expect(script.indexOf('cat "$part" >>"$path"')).toBeGreaterThan(script.indexOf(`if [ "\${sum%% *}" != ${'a'.repeat(64)} ]; then`));
});

test('authorities beside those that the host trusts', () => {
  const security = (source: string) => ({ security: { tls: { certificateAuthorities: [{ source }] } } });
  expect(lines({ source: 'https://h/x' }, security(dataURL(CERTIFICATE))).join('\n')).toContain(
    `printf '%s\\n' '${CERTIFICATE.trim()}' >>"$part.pem"`,
  );
  for (const source of ['https://h/ca', dataURL('x')]) {
    expect(refusalOf(text({ source: 'https://h/x' }, security(source)))).toMatch(
      /certificateAuthorities\[0\]\.source \(line \d+\): is not a certificate in PEM/,
    );
  }
});
