import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const script = (yaml: string) => commandsOf(yaml)[0]?.script ?? 'exit 9';
const TRUSTED = `ca_certs: {trusted: [${JSON.stringify(PEM)}, ${JSON.stringify(PEM)}]}`;

test.each([
  ['ca_certs: {trusted: [x]}', 'ca_certs.trusted (line 1): expected a list of certificates'],
  ['ca_certs: {trust: []}', 'ca_certs.trust (line 1): this key is not supported'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

test('of both spellings the newer counts, and it is told', () =>
  expect(planOf(`ca_certs:\n  remove_defaults: false\nca-certs: {}`).findings).toEqual(['KeyWithoutEffect ca-certs']));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test('Debian: a bundle, named once after those that are there', () => {
    using host = new Sandbox();
    host.stub('update-ca-certificates');
    host.write('/etc/ca-certificates.conf', '# list\nmozilla/a.crt\ncloud-init-ca-certs.crt\n\n');
    const bundle = 'usr/share/ca-certificates/cluster-api-ca-certs.crt';
    // The sandbox's /usr is read-only: it stands in a folder of the test.
    const moved = script(TRUSTED).replaceAll('/usr/share/ca-certificates', '/root/usr/share/ca-certificates');
    for (let time = 0; time < 2; time++) expect(host.run(moved, shell)).toEqual({ code: 0, output: '' });
    expect(host.read(`/root/${bundle}`)).toBe(`${PEM}\n${PEM}`);
    expect(host.read('/etc/ca-certificates.conf')).toBe('# list\nmozilla/a.crt\ncloud-init-ca-certs.crt\ncluster-api-ca-certs.crt\n');
    expect(host.calls()).toEqual(['update-ca-certificates ', 'update-ca-certificates']);
  });

  test('Red Hat: an anchor', () => {
    using host = new Sandbox();
    host.stub('update-ca-trust');
    const moved = script(TRUSTED).replaceAll('/usr/share/pki', '/root').replaceAll('update-ca-certificates', 'no-such-tool');
    expect(host.run(`mkdir -p /root/ca-trust-source/anchors\n${moved}`, shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/root/ca-trust-source/anchors/cluster-api-ca-certs.crt')).toBe(`${PEM}\n${PEM}`);
  });

  test('without the defaults', () => {
    using host = new Sandbox();
    host.stub('update-ca-certificates');
    host.stub('debconf-set-selections');
    host.write('/root/ca/mozilla/a.crt', 'x');
    host.write('/etc/ssl/certs/a.pem', 'x');
    host.write('/etc/ca-certificates.conf', 'mozilla/a.crt\n');
    const moved = script('ca-certs: {remove-defaults: true}').replaceAll('/usr/share/ca-certificates', '/root/ca');
    expect(host.run(moved, shell)).toEqual({ code: 0, output: '' });
    expect([host.exists('/root/ca/mozilla'), host.exists('/etc/ssl/certs/a.pem'), host.read('/etc/ca-certificates.conf')]).toEqual([
      false,
      false,
      '',
    ]);
  });

  test('a host without any', () => {
    using host = new Sandbox();
    expect(host.run(`PATH=/none\n${script(TRUSTED)}`, shell).code).toBe(127);
  });
});
