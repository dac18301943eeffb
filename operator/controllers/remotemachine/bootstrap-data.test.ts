import { HostUnknown, type Planner } from '../../bootstrap/plan.ts';
import { planBootstrap } from '../../bootstrap/planner.ts';
import { secrets, NAMESPACE, secret } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { outputFilter, planFor, readBootstrapData, unless } from './bootstrap-data.ts';

const access = {
  target: {
    ...{ address: 'a', port: 22, user: 'root', privateKey: 'begin of the key\nsecond line of it', passphrase: 'open sesame' },
    hostKeys: { expected: { kind: 'keys' as const, keys: [] }, trustOnFirstUse: true },
    bastions: [],
  },
  privilege: 'plain' as const,
};
const { signal } = new AbortController();
let world: World;
beforeAll(async () => {
  world = await World.start();
  await world.create(...secrets(), secret('formatted', { value: 'x', format: ' ignition\n' }), secret('empty', {}));
});
afterAll(() => world.stop());

test('the Secret holds the data and its format', async () => {
  const data = await readBootstrapData(world.client, NAMESPACE, 'data', signal);
  expect(Buffer.from(data.value).toString()).toMatch(/^#cloud-config/);
  expect(data).not.toHaveProperty('format');
  expect(await readBootstrapData(world.client, NAMESPACE, 'formatted', signal)).toMatchObject({ format: 'ignition' });
});

test.each([
  ['none', 'SecretNotFound'],
  ['empty', 'SecretKeyMissing'],
])('%s concerns the data, not the way to the host', async (name, reason) => {
  await expect(readBootstrapData(world.client, NAMESPACE, name, signal)).rejects.toMatchObject({ reason, concerns: 'data' });
});

const planner: Planner = (data, instance) => Promise.resolve(planBootstrap(data, instance));

test('templates that name something of the host have a plan once it has said what it is', async () => {
  const data = {
    value: Buffer.from(
      '## template: jinja\n#cloud-config\nruncmd:\n- echo {{ ds.meta_data.local_hostname }} {{ v1.availability_zone }} {{ machine }} {{ distro }}\n',
    ),
  };
  const instance = { runID: 'r', name: 'm', failureDomain: 'zone' };
  expect(await unless(HostUnknown, planFor(planner, data, instance))).toBeUndefined();
  const said = { facts: { hostname: 'host', architecture: 'x86_64' }, release: { ID: 'debian' }, libc: '' };
  expect(await planFor(planner, data, instance, said)).toMatchObject({ steps: [{ script: 'echo host zone x86_64 debian' }] });
});

test('no output repeats a line of the data, of its files and commands, or of the keys', async () => {
  const content = Buffer.from('a line within a file').toString('base64');
  const data = {
    version: '7',
    value: Buffer.from(
      `#cloud-config\nwrite_files:\n- {path: /a, encoding: b64, content: ${content}}\nruncmd:\n- echo of a command\n- 'true'\n`,
    ),
  };
  const plan = await planFor(planner, data, { runID: 'r', name: 'm', failureDomain: undefined });
  const filter = outputFilter(data, plan, access, undefined);
  const said = [
    '+ echo of a command',
    'a line within a file',
    `- {path: /a, encoding: b64, content: ${content}}`,
    'second line of it',
    'open sesame',
  ];
  expect(filter.words).toBe(filter.output);
  expect(filter.output([...said, 'true'].join('\n'))).toBe('+ [redacted]\n[redacted]\n[redacted]\n[redacted]\n[redacted]\ntrue');
  expect(outputFilter(data, plan, access, '7').output('true')).toBe('true');
  const changed = outputFilter(data, plan, access, '6');
  expect([changed.output('true'), changed.words('a line within a file')]).toEqual(['', '[redacted]']);
});

test('without the data that says what is secret, no output is shown, and the words of an error lose keys and tokens', () => {
  const { output, words } = outputFilter(undefined, undefined, access, undefined);
  expect(output('anything')).toBe('');
  expect(words('cannot read: open sesame')).toBe('cannot read: [redacted]');
});
