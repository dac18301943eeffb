import type { RemoteMachineSpec } from '../../../apis/infrastructure/connection.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import type { Trust } from '../../pool/host-key-pins.ts';
import { PUBLIC_KEYS } from '../testing/executor.ts';
import { ADDRESS, entry, NAMESPACE, secret } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { CONFIG_MAPS } from '../../../apis/core.ts';
import { cleanUpCommandsOf, type HostSpec, hostSpecOf } from './access.ts';
import { InputError } from './failure.ts';

const [PINNED, OTHER] = PUBLIC_KEYS;
const noTrust: Trust = { pinned: [], accepted: [] };
const known = { metadata: { namespace: NAMESPACE, name: 'known' }, data: { known_hosts: 'host key' } };
let world: World;
beforeAll(async () => {
  world = await World.start();
  await world.create(
    secret('key', { value: 'private' }),
    secret('locked', { value: 'private', passphrase: 'sesame' }),
    secret('hosts', { known_hosts: 'from a secret' }),
    secret('empty', {}),
    [CONFIG_MAPS, known],
  );
});
afterAll(() => world.stop());

const read = (spec: Partial<HostSpec>, trust = noTrust) =>
  world.deps.access.read(NAMESPACE, { address: ADDRESS, sshKeyRef: { name: 'key' }, ...spec }, trust, new AbortController().signal);

test('defaults of port, user and rights; IPv6 loses its brackets', async () => {
  const { target, privilege } = await read({ address: '[fd00::1]' });
  expect(target).toMatchObject({ address: 'fd00::1', port: 22, user: 'root', privateKey: 'private', bastions: [] });
  expect(target).not.toHaveProperty('passphrase');
  expect(privilege).toBe('plain');
  expect((await read({ useSudo: true, sshKeyRef: { name: 'locked' } })).target.passphrase).toBe('sesame');
});

test('each Secret is read once, however many hops name it', async () => {
  const before = world.server.requests.length;
  const bastions = [{ address: 'a' }, { address: 'b', sshKeyRef: { name: 'locked' } }, { address: 'c', sshKeyRef: { name: 'locked' } }];
  const { target } = await read({ bastions });
  const asked = world.server.requests.slice(before).map(({ path }) => path);
  expect(asked.toSorted()).toEqual(['key', 'locked'].map((name) => `/api/v1/namespaces/${NAMESPACE}/secrets/${name}`));
  expect(target.bastions.map(({ passphrase }) => passphrase)).toEqual([undefined, 'sesame', 'sesame']);
});

describe('host keys', () => {
  const trust = { pinned: [PINNED], accepted: ['SHA256:accepted'] };
  const accepted = ['SHA256:accepted'];
  test.each<[string, Partial<HostSpec>, Trust, object]>([
    ['hostKeys win', { hostKeys: [OTHER] }, trust, { expected: { kind: 'keys', keys: [OTHER] }, accepted, trustOnFirstUse: false }],
    [
      'then known hosts',
      { knownHostsRef: { kind: 'ConfigMap', name: 'known' } },
      trust,
      { expected: { kind: 'knownHosts', text: 'host key' }, accepted, trustOnFirstUse: false },
    ],
    [
      'known hosts of a Secret',
      { knownHostsRef: { kind: 'Secret', name: 'hosts' } },
      noTrust,
      { expected: { kind: 'knownHosts', text: 'from a secret' }, accepted: [], trustOnFirstUse: false },
    ],
    ['then what is pinned', {}, trust, { expected: { kind: 'keys', keys: [PINNED] }, accepted, trustOnFirstUse: false }],
    [
      'what is accepted, before any contact',
      {},
      { pinned: [], accepted },
      { expected: { kind: 'keys', keys: [] }, accepted, trustOnFirstUse: false },
    ],
    ['else the first one', { hostKeys: [] }, noTrust, { expected: { kind: 'keys', keys: [] }, accepted: [], trustOnFirstUse: true }],
  ])('%s', async (_name, spec, given, policy) => expect((await read(spec, given)).target.hostKeys).toEqual(policy));

  test('a bastion is never trusted at first sight, nor by what is accepted for the host', async () => {
    const { target } = await read({ bastions: [{ address: 'a' }, { address: 'b', hostKeys: [OTHER] }] }, trust);
    expect(target.bastions.map(({ hostKeys }) => hostKeys)).toEqual([
      { expected: { kind: 'keys', keys: [] }, trustOnFirstUse: false },
      { expected: { kind: 'keys', keys: [OTHER] }, trustOnFirstUse: false },
    ]);
  });
});

test.each<[string, Partial<HostSpec>, string, RegExp]>([
  ['no key', { sshKeyRef: undefined }, 'SSHKeyRefMissing', /set sshKeyRef.name/],
  ["an empty reference, as k0smotron's provider stores it", { sshKeyRef: { name: '' } }, 'SSHKeyRefMissing', /set sshKeyRef.name/],
  ['no Secret', { sshKeyRef: { name: 'none' } }, 'SecretNotFound', /^Secret ns\/none does not exist: create it/],
  [
    'a Secret without value',
    { sshKeyRef: { name: 'empty' } },
    'SecretKeyMissing',
    /^sshKeyRef: Secret ns\/empty has no key `value`: add it/,
  ],
  [
    "a bastion's Secret without value",
    { bastions: [{ address: 'a', sshKeyRef: { name: 'empty' } }] },
    'SecretKeyMissing',
    /^bastions\[0\]: Secret ns\/empty/,
  ],
  ['no known hosts', { knownHostsRef: { kind: 'ConfigMap', name: 'none' } }, 'SecretNotFound', /^ConfigMap ns\/none does not exist/],
  [
    'known hosts without the key',
    { knownHostsRef: { kind: 'Secret', name: 'empty' } },
    'SecretKeyMissing',
    /^Secret ns\/empty has no key `known_hosts`/,
  ],
  ['a host key that is none', { hostKeys: [OTHER, 'nonsense'] }, 'HostKeyUnknown', /^hostKeys\[1\] is neither/],
  [
    "a bastion's host key that is none",
    { bastions: [{ address: 'a', hostKeys: ['x'] }] },
    'HostKeyUnknown',
    /^bastions\[0\]\.hostKeys\[0\] is neither/,
  ],
])('%s', async (_name, spec, reason, message) => {
  const error = await read(spec).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(InputError);
  expect(error).toMatchObject({ reason, concerns: 'access' });
  expect((error as Error).message).toMatch(message);
});

test('Secrets that clusterctl move would leave behind are named', async () => {
  world.server.create(...secret('stays', { value: 'x' }));
  world.server.patch(secret('stays', {})[0], { namespace: NAMESPACE, name: 'stays' }, { metadata: { labels: null } });
  expect((await read({ sshKeyRef: { name: 'stays' } })).notMovable).toEqual(['stays']);
  expect((await read({})).notMovable).toEqual([]);
});

test('a request that the API server refuses is no bad input', async () => {
  world.server.fail({ path: /secrets\/key/, status: 403, reason: 'Forbidden' });
  await expect(read({})).rejects.toMatchObject({ status: 403 });
});

describe('the fields that hold', () => {
  const pooled = entry('e', { machine: { address: '10.0.0.9', user: 'live' } })[1] as PooledRemoteMachine;
  const copy: RemoteMachineSpec = { address: '10.0.0.1', port: 2222, user: 'old', useSudo: true, bastions: [{ address: 'a' }] };
  test("an entry's live values win, and where it is is its alone", () =>
    expect(hostSpecOf(copy, pooled)).toEqual({ address: '10.0.0.9', port: undefined, bastions: undefined, user: 'live', useSudo: true }));
  test('the copy serves where there is no entry', () => expect(hostSpecOf(copy, undefined)).toEqual(copy));
  test('no address, no host', () => expect(hostSpecOf({ pool: 'p' }, undefined)).toBeUndefined());
  test('cleanUpCommands come before their old name', () => {
    expect(cleanUpCommandsOf({ address: 'a', cleanUpCommands: ['new'], customCleanUpCommands: ['old'] })).toEqual(['new']);
    expect(cleanUpCommandsOf({ address: 'a', customCleanUpCommands: ['old'] })).toEqual(['old']);
    expect(cleanUpCommandsOf(undefined)).toBeUndefined();
  });
});
