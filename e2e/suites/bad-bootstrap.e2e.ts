/** Bootstrap data that can't be carried out, and runs that fail: told in words, once, without a secret, and retried only on request. */
import { readFileSync } from 'node:fs';
import type { AnyObject } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { counting, Objects, PREFIX, runsOf } from '../fixtures/objects.ts';
import { cleanUpCommands as leaveHistory, conditionOf, historic, historyOf, runIDOf } from '../fixtures/pool.ts';
import { errorsOf, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'bad';
const CLAIM = '/var/lib/cluster-api-provider-remote/claim';
const MiB = 1024 * 1024;
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];

const environment = sharedEnvironment('bad-bootstrap');
let objects: Objects;
let operator: Operator;
let reports: Reports;

beforeAll(async () => {
  const { client, namespace, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  operator = await startOperator({ name: 'bad-bootstrap', namespace });
  await client.applyAll(objects.cluster(CLUSTER));
});

const machine = (name: string) => objects.ref('RemoteMachine', name);
const annotate = (name: string, annotations: Record<string, string | null>) =>
  environment().client.patch(machine(name), { metadata: { annotations } });
const prefixed = (annotations: Record<string, string>) => ({
  annotations: Object.fromEntries(Object.entries(annotations).map(([name, value]) => [`${PREFIX}/${name}`, value])),
});

/** A machine with a host of its own that runs `data`. */
async function start(name: string, data: string, spec: object = {}, annotations: Record<string, string> = {}): Promise<Host> {
  const { client, createHost } = environment();
  const host = await createHost();
  await client.applyAll([
    objects.sshKey(`${name}-key`, host),
    objects.bootstrapData(name, data),
    objects.remoteMachine(
      name,
      { address: host.address, sshKeyRef: { name: `${name}-key` }, cleanUpCommands, ...spec },
      prefixed(annotations),
    ),
    objects.machine(name, CLUSTER),
  ]);
  return host;
}

/** The machine has failed for good, and says why, which run it was, and how to go on. */
async function failed(name: string, reason: string, ...says: (string | RegExp)[]): Promise<AnyObject> {
  const next = new RegExp(`Run ${name}-[0-9a-f]+: delete the Machine, or annotate ${PREFIX}/retry=${name}-[0-9a-f]+`);
  const type = 'BootstrapExecSucceeded';
  const told = await reports.expect(name, { type, status: 'False', reason, says: [next, ...says], ready: 'False' });
  expect(told.status).toMatchObject({ bootstrap: { phase: 'Failed', runID: runIDOf(told) } });
  return told;
}

describe('bootstrap data', () => {
  const data = (value: string | Buffer, format = 'cloud-config') => ({
    value: Buffer.from(value).toString('base64'),
    format: Buffer.from(format).toString('base64'),
  });

  /** No host is contacted for data that can't be carried out: these have loopback addresses that nothing listens on. */
  let loopback = 1;
  async function apply(name: string, contents: Record<string, string> | undefined): Promise<void> {
    const { client } = environment();
    const address = `127.9.0.${loopback++}`;
    const namespaced = { namespace: objects.namespace, name };
    if (contents !== undefined)
      await client.apply({ apiVersion: 'v1', kind: 'Secret', metadata: namespaced, type: 'cluster.x-k8s.io/secret', data: contents });
    const key = { apiVersion: 'v1', kind: 'Secret', metadata: { ...namespaced, name: 'any-key' }, stringData: { value: 'unused' } };
    await client.applyAll([key, objects.remoteMachine(name, { address, sshKeyRef: { name: 'any-key' } }), objects.machine(name, CLUSTER)]);
  }

  const terminal =
    (name: string, contents: Record<string, string>, reason: string, ...says: (string | RegExp)[]) =>
    async () => {
      await apply(name, contents);
      const named = `Bootstrap Secret ${objects.namespace}/${name}: `;
      await reports.expect(name, { type: 'BootstrapExecSucceeded', status: 'False', reason, says: [named, ...says], ready: 'False' });
      const { status } = await environment().client.get(machine(name));
      expect(status).not.toHaveProperty('bootstrap');
    };
  const unknownKeys = '#cloud-config\nruncmd:\n- date\nusers:\n- name: a\n  ssh_import_id: [b]\nno_such_module: 1\n';

  const missing = (name: string, contents: Record<string, string> | undefined, reason: string, says: string) => async () => {
    const { client, createHost } = environment();
    await apply(name, contents);
    const host = await createHost();
    await client.apply(objects.sshKey(`${name}-key`, host));
    await client.patch(machine(name), { spec: { address: host.address, sshKeyRef: { name: `${name}-key` }, cleanUpCommands } });
    const secret = `Secret ${objects.namespace}/${name}`;
    await reports.expect(name, { type: 'BootstrapExecSucceeded', reason, says: [secret, says], ready: 'Unknown' });
    await client.apply(objects.bootstrapData(name, counting()));
    await reports.ready(name);
    expect(await runsOf(host)).toBe(1);
  };

  sideBySide({
    'a Secret that is not there': missing('no-secret', undefined, 'SecretNotFound', 'does not exist: create it'),
    'a Secret without the key value': missing('no-value', { other: '' }, 'SecretKeyMissing', 'has no key `value`'),
    'no data': terminal('empty', data(''), 'BootstrapDataEmpty'),
    'binary data': terminal('binary', data(Buffer.from([0xff, 0xfe, 0x00, 0x01])), 'BootstrapDataBinary'),
    'data that is no YAML': terminal('no-yaml', data('#cloud-config\nruncmd:\n- [true\n'), 'BootstrapDataInvalid', /line \d/),
    'unknown keys': terminal(
      'unknown-keys',
      data(unknownKeys),
      'BootstrapKeyUnsupported',
      'no_such_module',
      'line 7',
      /users\[0\]\.ssh_import_id/,
    ),
    'Ignition of an unknown version': terminal('ignition', data('{}', 'ignition'), 'BootstrapFormatUnsupported', '3.0.0 to 3.5.0'),
    'Ignition that a running host can not honour': terminal(
      'ignition-key',
      data('{"ignition": {"version": "3.4.0"},\n"kernelArguments": {"shouldExist": ["quiet"]}}'),
      'BootstrapKeyUnsupported',
      'kernelArguments (line 2)',
    ),
    PowerShell: terminal('powershell', data('#ps1_sysnative\n'), 'BootstrapFormatUnsupported', 'PowerShell'),
    'data that is no use does not hold up the deletion': async () => {
      await terminal('useless', data('#cloud-config\n- list\n'), 'BootstrapDataInvalid')();
      await environment().client.delete(objects.clusterRef('Machine', 'useless'));
      await environment().client.waitForGone(machine('useless'));
    },
    'data that is corrected runs once the machine is looked at again': async () => {
      const host = await start('corrected', '#cloud-config\nno_such_module: 1\n');
      const says = ['no_such_module (line 2)'];
      const type = 'BootstrapExecSucceeded';
      await reports.expect('corrected', { type, status: 'False', reason: 'BootstrapKeyUnsupported', says, ready: 'False' });
      await environment().client.apply(objects.bootstrapData('corrected', counting()));
      await annotate('corrected', { 'e2e/look': 'again' });
      await reports.ready('corrected');
      expect(await runsOf(host)).toBe(1);
    },
    'a template that only its host makes one that can not be carried out': async () => {
      const header = '## template: jinja\n';
      const host = await start('template', `${header}#cloud-config\n{% if v1.machine.lower() %}phone_home: {}{% endif %}\n`);
      const says = ['phone_home (line 3)'];
      const type = 'BootstrapExecSucceeded';
      await reports.expect('template', { type, status: 'False', reason: 'BootstrapKeyUnsupported', says, ready: 'False' });
      expect(await host.exists(CLAIM)).toBe(false);
      expect((await environment().client.get(machine('template'))).status).not.toHaveProperty('bootstrap');
      const mended = counting(["echo {{ v1.kernel_release.split('.')[0] }} {{ {v1.machine: v1.distro}[v1.machine] }} >/root/said"]);
      await environment().client.apply(objects.bootstrapData('template', header + mended));
      await annotate('template', { 'e2e/look': 'again' });
      await reports.ready('template');
      expect(await runsOf(host)).toBe(1);
      expect((await host.exec('cat /root/said')).stdout).toMatch(/^\d+ debian$/m);
      expect(await reports.eventsOf('template', 'TemplateVariableMissing')).toEqual([]);
    },
    'such a template leaves nothing that would hold up the deletion': async () => {
      const host = await start('templated', '## template: jinja\n#cloud-config\n{{ v1.distro }}: 1\n');
      const says = ['debian (line 3)'];
      await reports.expect('templated', {
        type: 'BootstrapExecSucceeded',
        status: 'False',
        reason: 'BootstrapKeyUnsupported',
        says,
        ready: 'False',
      });
      await environment().client.delete(objects.clusterRef('Machine', 'templated'));
      await environment().client.waitForGone(machine('templated'));
      expect(await host.exists(CLAIM)).toBe(false);
    },
    'duplicate keys work, with a warning': async () => {
      const host = await start('duplicate', `#cloud-config\nruncmd:\n- touch /first\n${counting().replace('#cloud-config\n', '')}`);
      const ready = await reports.ready('duplicate');
      expect(conditionOf(ready, 'BootstrapExecSucceeded')?.message).toMatch(/succeeded\. Its data: runcmd \(line 10\): /);
      expect(await runsOf(host)).toBe(1);
      expect(await host.exists('/first')).toBe(false);
      const { type, note } = await reports.event('duplicate', 'DuplicateKey');
      expect(type).toBe('Warning');
      expect(note).toContain('runcmd');
    },
  });
});

describe('runs', () => {
  const password = 'correct horse battery staple';
  const failing = `#cloud-config
write_files:
- path: /etc/secret
  content: ${password}
runcmd:
- echo begins
- cat /etc/secret; echo token abcdef.0123456789abcdef; echo this is why >&2; exit 3
- touch /never
`;

  async function failsWith(name: string, spec: object, where: string): Promise<void> {
    const host = await start(name, failing, spec);
    const told = await failed(name, 'BootstrapFailed', where, 'exit code 3', 'this is why', '[redacted]');
    const everything = JSON.stringify([told, await reports.eventsOf(name, 'BootstrapFailed')]) + operator.logs();
    expect(everything).not.toContain(password);
    expect(everything).not.toContain('abcdef.0123456789abcdef');
    expect(told.status).toMatchObject({ bootstrap: { exitCode: 3 } });
    expect(await host.exists('/never')).toBe(false);
  }

  sideBySide({
    'a command that fails': () => failsWith('fails', {}, 'runcmd[1]'),
    'a command of a script that fails': () => failsWith('script', { commandsAsScript: true }, 'runcmd'),
    'a command that hangs is killed when its time is over': async () => {
      const host = await start('hangs', counting(['sleep 4711 & sleep 4711']), {}, { 'bootstrap-timeout': '3s' });
      await failed('hangs', 'BootstrapTimedOut', 'runcmd[1] did not end in time and was killed');
      expect((await host.exec('pgrep -f "sleep 471[1]"')).stdout).toBe('');
    },
    'a run that does not write the sentinel it speaks of has failed': async () => {
      await start('no-sentinel', counting(['exit 0']));
      await failed('no-sentinel', 'SentinelMissing', '/run/cluster-api/bootstrap-success.complete was not written');
    },
    'a shell that is killed is a failure of its command': async () => {
      await start('killed-shell', counting(['kill -9 $$']));
      await failed('killed-shell', 'BootstrapFailed', 'runcmd[1]', 'exit code 137');
    },
    'a run that is killed has vanished, and does not begin again': async () => {
      const suicide = `read -r pid _ <"$(echo ${CLAIM}/run.*/bootstrap/started)"; kill -9 "$pid"; sleep 300`;
      const host = await start('killed-run', counting([suicide]));
      await failed('killed-run', 'BootstrapVanished', 'gone during runcmd[1]', 'killed');
      expect(await runsOf(host)).toBe(1);
    },
    'a host with the claim of somebody else runs nothing, and whose it is is told': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      const files = { run: 'other-run', namespace: 'elsewhere', name: 'other', uid: '4711' };
      const write = Object.entries(files).map(([file, text]) => `echo ${text} >${CLAIM}/${file}`);
      await host.exec(['set -e', `mkdir -p -m 700 ${CLAIM}`, ...write].join('\n'));
      await client.applyAll(objects.explicit('claimed', CLUSTER, host, counting(), { cleanUpCommands }));
      const says = [`Host ${host.address}:22: `, 'run other-run of machine elsewhere/other', CLAIM];
      await reports.expect('claimed', { type: 'BootstrapExecSucceeded', reason: 'HostInUse', says, ready: 'Unknown' });
      expect(await runsOf(host)).toBe(0);
      await host.exec(`rm -rf ${CLAIM}`);
      await reports.ready('claimed');
      expect(await runsOf(host)).toBe(1);
    },
    'a failed run is retried on request, on a clean host': retries,
  });
});

async function retries(): Promise<void> {
  const { client } = environment();
  const spec = { cleanUpCommands: [...leaveHistory, 'test -e /root/cleanable'] };
  const host = await start('retried', historic(['test -e /root/mended']), spec);
  const first = await failed('retried', 'BootstrapFailed', 'runcmd[1] failed with exit code 1');
  const run = runIDOf(first) ?? '';

  await annotate('retried', { [`${PREFIX}/retry`]: 'another-run' });
  const { note, type } = await reports.event('retried', 'RetryRefused');
  expect(type).toBe('Warning');
  expect(note).toContain(`the run that failed is ${run}`);
  const untouched = await client.get(machine('retried'));
  expect(untouched.status).toEqual(first.status);
  expect(await historyOf(host)).toEqual([`run ${run}`]);

  await host.exec('touch /root/mended');
  await annotate('retried', { [`${PREFIX}/retry`]: run });
  const says = [`failed run ${run} could not be cleaned, which is tried again`, 'cleanUpCommands[1]'];
  await reports.expect('retried', { type: 'BootstrapExecSucceeded', reason: 'CleanupFailed', says, ready: 'Unknown' });
  await host.exec('touch /root/cleanable');
  const ready = await reports.ready('retried');
  expect(runIDOf(ready)).not.toBe(run);
  expect(ready.metadata.annotations).not.toHaveProperty([`${PREFIX}/retry`]);
  expect(ready.status).not.toHaveProperty('failureReason');
  expect(ready.status).not.toHaveProperty('failureMessage');
  expect(ready.status).toMatchObject({ bootstrap: { phase: 'Succeeded', runID: runIDOf(ready) } });
  const history = await historyOf(host);
  expect(history.filter((line) => line.startsWith('run'))).toEqual([`run ${run}`, `run ${runIDOf(ready)}`]);
  expect(history.slice(1, -1).every((line) => line === 'clean')).toBe(true);
  await reports.event('retried', 'Retrying');
  expect(await reports.eventsOf('retried', 'RetryRefused')).toHaveLength(1);
}

test('300 MB of output: the end is seen, the operator does not grow, other machines go on', async () => {
  const { client } = environment();
  const memory = (field: 'VmRSS' | 'VmHWM'): number => {
    const status = readFileSync(`/proc/${operator.process.pid}/status`, 'utf8');
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  };
  const before = memory('VmRSS');
  const loud = await start('loud', counting([`yes 'a line of output that nobody reads' | head -c ${300 * MiB}`, 'echo the end; exit 7']));
  const isRunning = (object: AnyObject) => conditionOf(object, 'BootstrapExecSucceeded')?.reason === 'BootstrapRunning';
  await client.waitFor(machine('loud'), (object) => isRunning(object) || conditionOf(object, 'Ready')?.status === 'False');
  await start('quiet', counting());
  await reports.ready('quiet');
  await failed('loud', 'BootstrapFailed', 'runcmd[2]', 'exit code 7', 'the end');
  expect(await runsOf(loud)).toBe(1);
  // Buffers that wait for the garbage collector come to less than 100 MiB however much is printed.
  expect(memory('VmHWM') - before).toBeLessThan(150 * MiB);
});

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
