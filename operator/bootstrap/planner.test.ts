import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { BootstrapDataError, type CommandStep, type FileStep, type InstanceData, type Plan, type Step } from './plan.ts';
import { planBootstrap } from './planner.ts';
import { INSTANCE } from './template/testing/table.ts';

const instance: InstanceData = {
  ...INSTANCE,
  hostname: 'node-1.example.org',
  instanceID: 'default-worker-0-1',
  failureDomain: 'eu',
};

const plan = (text: string | Uint8Array, format?: string): Plan =>
  planBootstrap({ value: typeof text === 'string' ? Buffer.from(text) : text, ...(format === undefined ? {} : { format }) }, instance);
const fixture = (name: string) => plan(readFileSync(join(__dirname, 'testdata', `${name}.yaml`)), 'cloud-config');
const names = (steps: Step[]) => steps.map((step) => step.name);
const scripts = (steps: Step[]) =>
  steps.flatMap((step) => (step.kind === 'command' && step.interpreter === undefined ? [step.script] : []));
const file = (of: Plan, path: string) => of.steps.find((step): step is FileStep => step.kind === 'file' && step.path === path);
const text = (step: FileStep | undefined) => Buffer.from(step?.content ?? []).toString();

function refusal(value: string | Uint8Array, format?: string): BootstrapDataError {
  try {
    plan(value, format);
  } catch (error) {
    if (error instanceof BootstrapDataError) return error;
    throw error;
  }
  throw new Error('the data was not refused');
}

describe('documents of bootstrap providers', () => {
  test('kubeadm init', () => {
    const planned = fixture('kubeadm-init');
    expect(names(planned.steps)).toEqual([
      'write_files[0] /etc/kubernetes/pki/ca.crt',
      'write_files[1] /etc/kubernetes/pki/ca.key',
      'write_files[2] /run/kubeadm/kubeadm.yaml',
      'write_files[3] /run/cluster-api/placeholder',
      'runcmd[0]',
      'runcmd[1]',
    ]);
    expect(planned.expectsSentinel).toBe(true);
    expect(planned.findings).toEqual([]);
    expect(file(planned, '/etc/kubernetes/pki/ca.key')).toMatchObject({ mode: 0o600, owner: 'root:root', append: false });
    expect(text(file(planned, '/etc/kubernetes/pki/ca.key'))).toBe('not until secret\n');
    expect(text(file(planned, '/run/kubeadm/kubeadm.yaml'))).toContain("name: 'node-1.example.org'\n");
    expect(scripts(planned.steps)).toEqual([
      'echo "pre: ${HOSTNAME:-}"',
      'kubeadm init --config /run/kubeadm/kubeadm.yaml  && echo success > /run/cluster-api/bootstrap-success.complete',
    ]);
  });

  test('kubeadm join of a control plane, with bootcmd', () => {
    const planned = fixture('kubeadm-join-control-plane');
    expect(planned.steps.map((step) => [step.name, step.kind === 'command' ? step.shell : undefined])).toEqual([
      ['bootcmd environment', 'bootcmd'],
      ['bootcmd[0]', 'bootcmd'],
      ['write_files[0] /run/kubeadm/kubeadm-join-config.yaml', undefined],
      ['write_files[1] /run/cluster-api/placeholder', undefined],
      ['runcmd[0]', undefined],
    ]);
    expect(planned.findings).toMatchObject([{ reason: 'RunsOnceOnly', path: 'bootcmd', line: 22 }]);
  });

  test('kubeadm join of a worker: files, users, ntp, commands in the order of cloud-init', () => {
    const planned = fixture('kubeadm-join-worker');
    expect(names(planned.steps)).toEqual([
      'write_files[0] /run/kubeadm/kubeadm-join-config.yaml',
      'write_files[1] /run/cluster-api/placeholder',
      'write_files[2] /etc/motd',
      'users[0] capi',
      'users[0] capi /etc/sudoers.d/90-cluster-api-capi',
      'users[0] capi sudo',
      'ntp',
      'write_files[3] /home/capi/.profile',
      'runcmd[0]',
      'runcmd[1]',
      'runcmd[2]',
    ]);
    expect(file(planned, '/etc/motd')).toMatchObject({ append: true, mode: 0o644 });
    expect(scripts(planned.steps)[2]).toBe("'systemctl' restart 'a service'");
    expect(text(file(planned, '/run/kubeadm/kubeadm-join-config.yaml'))).toContain("value: 'remote://default-worker-0-1'");
  });

  test.each([
    [
      'k0s-controller',
      true,
      ['write_files[0] /etc/k0s.yaml', 'write_files[1] /var/lib/k0s/pki/ca.key', 'runcmd[0]', 'runcmd[1]', 'runcmd[2]'],
    ],
    ['k0s-worker', true, ['write_files[0] /etc/k0s.token', 'runcmd[0]', 'runcmd[1]', 'runcmd[2]', 'runcmd[3]']],
    [
      'rke2-server',
      true,
      [
        'write_files[0] /etc/rancher/rke2/config.yaml',
        'write_files[1] /run/cluster-api/placeholder',
        'ntp',
        ...[0, 1, 2, 3, 4].map((n) => `runcmd[${n}]`),
      ],
    ],
    ['k3s-agent', true, ['write_files[0] /etc/rancher/k3s/config.yaml', 'runcmd[0]']],
    [
      'microk8s',
      false,
      ['bootcmd environment', 'bootcmd[0]', 'write_files[0] /capi-scripts/00-install-microk8s.sh', 'runcmd[0]', 'runcmd[1]', 'runcmd[2]'],
    ],
  ])('%s', (name, expectsSentinel, steps) => {
    const planned = fixture(name);
    expect(planned.expectsSentinel).toBe(expectsSentinel);
    expect(names(planned.steps)).toEqual(steps);
  });

  test('custom data under a second #cloud-config: the last key counts, and people are told with both lines', () => {
    const planned = fixture('k0s-custom-data');
    expect(scripts(planned.steps)).toEqual(['echo custom']);
    expect(planned.expectsSentinel).toBe(false);
    expect(planned.findings).toEqual([
      { reason: 'SecondHeader', path: '', line: 10, message: expect.any(String) as string },
      { reason: 'DuplicateKey', path: 'runcmd', line: 11, message: expect.stringContaining('(lines 7, 11)') as string },
    ]);
  });
});

describe('what is decompressed counts together', () => {
  const MiB = 1 << 20;
  const spaces = (size: number, text = '') => gzipSync(Buffer.concat([Buffer.from(text), Buffer.alloc(size, 0x20)]));
  const file = (size: number) => `{path: /x, encoding: gz+b64, content: ${spaces(size).toString('base64')}}`;
  const url = (size: number, text?: string) => ({ source: `data:;base64,${spaces(size, text).toString('base64')}`, compression: 'gzip' });
  const ignition = (config: object, files: object[] = []) =>
    JSON.stringify({
      ignition: { version: '3.4.0', config },
      storage: { files: files.map((contents, index) => ({ path: `/f${index}`, contents })) },
    });
  const inner = (size: number) => url(size, ignition({}));
  const mime = (size: number) =>
    `Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n${spaces(size, `#cloud-config\nwrite_files: [${file(3 * MiB)}]\n`).toString('base64')}\n--b--\n`;

  test.each<[string, (half: number) => string | Buffer]>([
    ['a document and its files', (half) => spaces(half, `#cloud-config\nwrite_files: [${file(half)}]\n`)],
    ['the files', (half) => `#cloud-config\nwrite_files: [${file(half)}, ${file(half)}]\n`],
    ['a part and its file', (half) => mime(2 * half - 3 * MiB)],
    ['Ignition documents in one', (half) => ignition({ merge: [inner(half), { ...inner(half), verification: {} }] })],
    ['an Ignition document and a file', (half) => ignition({ merge: [inner(half)] }, [url(half)])],
    ['files of Ignition', (half) => ignition({}, [url(half), url(half)])],
  ])('%s', (_, data) => {
    const plan = (half: number) => planBootstrap({ value: Buffer.from(data(half)) }, { hostname: 'h', instanceID: 'i' });
    expect(plan(3 * MiB).steps).toBeDefined();
    expect(() => plan(5 * MiB)).toThrow(expect.objectContaining({ reason: 'BootstrapDataTooLarge' }) as Error);
  });
});

test('of very many findings some of every kind are told, and how many there are', () => {
  const twice = Array.from({ length: 40 }, (_, index) => `k${index}: /dev/a\n    k${index}: /dev/b\n    `).join('');
  const text = `#cloud-config\nwrite_files:\n  - path: /a\n    permissions: 420\nca_certs: {}\nca-certs: {}\nbootcmd: [ls]\ndevice_aliases:\n    ${twice}\n`;
  const { findings } = planBootstrap({ value: Buffer.from(text) }, { hostname: 'h', instanceID: 'i' });
  expect(findings).toHaveLength(31);
  expect(new Set(findings.map(({ reason }) => reason))).toEqual(
    new Set(['DuplicateKey', 'RunsOnceOnly', 'PermissionsNumber', 'KeyWithoutEffect', 'MoreWarnings']),
  );
  expect(findings.at(-1)?.message).toBe('and 13 more, most likely of the same cause');
});

describe('what the data is', () => {
  const CONFIG = '#cloud-config\nruncmd: [ls]\n';
  test.each([
    ['cloud-config', CONFIG, undefined],
    ['cloud-config, said in the Secret too', CONFIG, 'cloud-config'],
    ['an empty format', CONFIG, ''],
    ['behind blank lines, in other case', '\n\n#Cloud-Config\nruncmd: [ls]\n', undefined],
    ['CRLF', '#cloud-config\r\nruncmd: [ls]\r\n', undefined],
    ['a byte order mark', '\ufeff#cloud-config\nruncmd: [ls]\n', undefined],
    ['compressed as a whole', gzipSync(CONFIG), undefined],
    ['a template', '## template: jinja\n#cloud-config\nruncmd: [ls]\n', undefined],
  ])('understood: %s', (_, value, format) => {
    const planned = plan(value, format);
    expect(planned).toMatchObject({ steps: [{ name: 'runcmd[0]', script: 'ls' }], findings: [] });
  });

  test.each<[string, string, boolean]>([
    ['commands and files', '#cloud-config\nruncmd: [ls]\nwrite_files: [{path: /a, content: x}]\n', false],
    ['a script', '#!/bin/sh\nls\n', false],
    ['Ignition', '{"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path": "/a"}]}}', false],
    ['a template that names nothing of the host', '## template: jinja\n#cloud-config\nruncmd: [ls {{ v1.instance_id }}]\n', false],
    ['a host with a line in /etc/hosts', '#cloud-config\nmanage_etc_hosts: true\n', true],
  ])('%s: whether another host may have another plan', (_, value, ofHost) => {
    const data = { value: Buffer.from(value) };
    const planned = (hostname: string) => planBootstrap(data, { hostname, instanceID: 'i' });
    expect(planned('one').ofHost).toBe(ofHost);
    expect(JSON.stringify(planned('one')) === JSON.stringify(planned('other'))).toBe(!ofHost);
    expect(planBootstrap(data, instance).ofHost).toBe(true);
  });

  test('a script is executed by its own first line, also under a template', () => {
    const step: CommandStep = { kind: 'command', name: 'script', script: '#!/bin/bash -e\necho hi\n', interpreter: [] };
    expect(plan(step.script)).toMatchObject({ steps: [step], expectsSentinel: false, findings: [] });
    expect(plan('## template: jinja\n#!/bin/sh\necho {{ v1.instance_id }} > /run/cluster-api/bootstrap-success.complete')).toMatchObject({
      steps: [{ ...step, script: '#!/bin/sh\necho default-worker-0-1 > /run/cluster-api/bootstrap-success.complete' }],
      expectsSentinel: true,
      findings: [],
    });
  });

  test('Ignition, by the Secret or by its content', () => {
    const text = '{"storage": {"files": [{"path": "/a", "contents": {"source": "data:,x"}}]},\n"ignition": {"version": "3.3.0"}}';
    for (const format of [undefined, 'ignition']) {
      expect(plan(text, format).steps.map(({ name }) => name)).toEqual([
        'ignition checks',
        'storage.files[0] /a room',
        'storage.files[0] /a',
      ]);
    }
  });

  test('without a header it is cloud-config, and people are told', () => {
    expect(plan('runcmd: [ls]')).toMatchObject({ steps: [{ script: 'ls' }], findings: [{ reason: 'HeaderMissing' }] });
  });

  test.each([
    ['BootstrapDataEmpty', 'nothing', '', undefined],
    ['BootstrapDataEmpty', 'white space', ' \n\t\n', undefined],
    ['BootstrapDataEmpty', 'only a header', '#cloud-config\n# nothing\n', undefined],
    ['BootstrapDataBinary', 'NUL', '#cloud-config\nruncmd: ["a\0"]', undefined],
    ['BootstrapDataBinary', 'not UTF-8', new Uint8Array([0x23, 0xff, 0xfe, 0x41]), undefined],
    ['BootstrapDataBinary', 'broken gzip', new Uint8Array([0x1f, 0x8b, 8, 0, 1, 2, 3]), undefined],
    ['BootstrapDataTooLarge', 'a bomb', gzipSync(new Uint8Array(9 * 1024 * 1024)), undefined],
    ['BootstrapFormatUnsupported', 'ignition of no version', '{}', 'ignition'],
    ['BootstrapDataInvalid', 'ignition that is no JSON', '#cloud-config\n', 'ignition'],
    ['BootstrapFormatUnsupported', 'ignition of another version, by its content', '{ "a": 1, "ignition": {"version": "3.9.0"}}', undefined],
    ['BootstrapFormatUnsupported', 'powershell', 'x', 'powershell-xml'],
    ['BootstrapFormatUnsupported', 'an unknown format', CONFIG, 'kickstart'],
    ['BootstrapFormatUnsupported', 'include', '#include\nhttps://example.org', undefined],
    ['BootstrapFormatUnsupported', 'part handler', '#part-handler\nimport os', undefined],
    ['BootstrapFormatUnsupported', 'JSON patch', '#cloud-config-jsonp\n[]', undefined],
    ['BootstrapFormatUnsupported', 'another template language', '## template: basic\n#cloud-config\n', undefined],
    ['BootstrapDataInvalid', 'not a map', '#cloud-config\n- a\n', undefined],
    ['BootstrapDataInvalid', 'a script without its first line', 'echo a\necho b\n', undefined],
    ['BootstrapFormatUnsupported', 'Butane', 'variant: flatcar\nversion: 1.0.0\nstorage: {}\n', undefined],
    ['BootstrapFormatUnsupported', 'Talos', 'version: v1alpha1\nmachine: {type: worker}\ncluster: {}\n', undefined],
    ['BootstrapFormatUnsupported', 'an object of Kubernetes', 'apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n', undefined],
    ['BootstrapFormatUnsupported', 'coreos-cloudinit', '#cloud-config\ncoreos: {units: []}\n', undefined],
    ['BootstrapDataInvalid', 'a float', '1.5', undefined],
  ])('%s: %s', (reason, _, value, format) => expect(refusal(value, format).reason).toBe(reason));

  test('what is no cloud-config is told for what it may be', () => {
    expect(refusal('echo a\n').message).toContain('line 1: the data begins neither with #cloud-config nor, as a script, with #!');
    expect(refusal('#cloud-config\n- a\n').message).toContain('line 2: a cloud-config document is a map of keys');
    expect(refusal('version: v1alpha1\nmachine: {}\n').message).toContain('is a configuration of Talos');
  });

  test('all problems are named at once, by path and line, without content', () => {
    const error = refusal(`## template: jinja
#cloud-config
network: {}
write_files:
  - path: /a
    content: hunter2secret
    encoding: base64,hunter2
    colour: hunter2
  - content: x
runcmd: [true]
users:
  - name: bob
    ssh_import_id: [gh:hunter2]
`);
    expect(error.reason).toBe('BootstrapDataInvalid');
    expect(error.message).not.toContain('hunter2');
    expect(error.findings.map(({ reason, path, line }) => [reason, path, line])).toEqual([
      ['BootstrapKeyUnsupported', 'network', 3],
      ['BootstrapDataInvalid', 'write_files[0].encoding', 7],
      ['BootstrapKeyUnsupported', 'write_files[0].colour', 8],
      ['BootstrapDataInvalid', 'write_files[1].path', 9],
      ['BootstrapDataInvalid', 'runcmd[0]', 10],
      ['BootstrapKeyUnsupported', 'users[0].ssh_import_id', 13],
    ]);
    for (const { path, line } of error.findings) expect(error.message).toContain(`${path} (line ${line ?? 0}): `);
  });

  test('only unsupported keys: BootstrapKeyUnsupported with all of them', () => {
    const error = refusal('#cloud-config\nphone_home: {url: x}\nunheard_of: {}\nruncmd: [ls]\n');
    expect([error.reason, error.message]).toEqual([
      'BootstrapKeyUnsupported',
      expect.stringMatching(
        /^the bootstrap data cannot be carried out: phone_home \(line 2\): this key is not supported: the operator .*; unheard_of \(line 3\): this key is not supported$/,
      ),
    ]);
  });

  test('keys that only concern cloud-init’s own reporting are findings', () => {
    expect(plan('#cloud-config\nno_ssh_fingerprints: true\nruncmd: [ls]\n').findings).toMatchObject([
      { reason: 'KeyWithoutEffect', path: 'no_ssh_fingerprints', line: 2 },
    ]);
  });
});
