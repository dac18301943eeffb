import { dataURL, document, refusalOf, scriptOf } from '../testing.ts';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const text = (contents: object, ignition: object = {}) => document({ storage: { files: [{ path: '/a', contents }] } }, '3.4.0', ignition);
const lines = (...args: Parameters<typeof text>) => scriptOf(text(...args), 'fetch').split('\n');

test('golden: what curl is told, on its standard input', () => {
  const script = lines(
    { source: 'https://h/x?a=b', compression: 'gzip', httpHeaders: [{ name: 'Authorization', value: 'Bearer "x"' }] },
    { timeouts: { httpResponseHeaders: 3, httpTotal: 60 }, proxy: { httpsProxy: 'http://p:3128', noProxy: ['a', 'b'] } },
  );
  expect(
    script.slice(
      script.findIndex((line) => line.startsWith('curl')),
      script.indexOf('END') + 2,
    ),
  ).toEqual([
    `curl --config - --output "$part.gz" <<'END'`,
    'url = "https://h/x?a=b"',
    'header = "Authorization: Bearer \\"x\\""',
    'silent',
    'show-error',
    'fail',
    'location',
    'retry = 5',
    'retry-connrefused',
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
