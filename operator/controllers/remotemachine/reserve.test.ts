import { ANNOTATION, MACHINE_FINALIZER } from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { hostTopic, poolTopic, WaitingList } from '../../pool/waiting.ts';
import { ADDRESS, entry, machine, NAMESPACE, owner, reserved } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { reserve } from './reserve.ts';
import type { MachineScope } from './scope.ts';

let world: World;
let waiting: WaitingList;
beforeEach(async () => {
  world = await World.start();
  waiting = new WaitingList();
});
afterEach(() => world.stop());

async function run(name = 'm'): Promise<{ scope: MachineScope; result: object | undefined }> {
  const scope = world.scope(name);
  const result = await reserve(world.deps, waiting, scope);
  await world.synced();
  return { scope, result };
}
const told = (scope: MachineScope) => {
  const { status, reason, message } = scope.condition('HostReserved') ?? {};
  return { status, reason, message, ready: scope.condition('Ready')?.status };
};

test.each<[string, object, string, string, RegExp]>([
  ['a provision job', { provisionJob: {}, address: ADDRESS }, 'False', 'ProvisionJobNotSupported', /remove it/],
  ['neither pool nor address', {}, 'False', 'NoPoolOrAddress', /spec\.pool.*spec\.address/],
  ['an address that the pool lacks', { pool: 'p', address: '10.9.9.9' }, 'False', 'AddressNotInPool', /10\.9\.9\.9:22/],
  ['no such pool', { pool: 'q' }, 'Unknown', 'NoSuchPool', /pool "q" of namespace ns/],
  ['a full pool', { pool: 'full' }, 'Unknown', 'WaitingForHost', /1 reserved/],
])('%s', async (_name, spec, status, reason, message) => {
  await world.create(
    owner(),
    entry('free'),
    entry(
      'taken',
      { pool: 'full', machine: { address: '10.0.0.7' } },
      {},
      { reserved: true, machineRef: { name: 'x', namespace: NAMESPACE } },
    ),
    machine(spec),
  );
  const { scope, result } = await run();
  expect(result).toEqual({});
  expect(told(scope)).toMatchObject({ status, reason, ready: status });
  expect(told(scope).message).toMatch(message);
  expect(world.stored().metadata.finalizers).toBeUndefined();
});

test('its own address: finalizer and run ID in one write', async () => {
  await world.create(owner(), machine({ address: ADDRESS, port: 2222 }));
  const before = world.server.requests.length;
  const { scope, result } = await run();
  expect(result).toBeUndefined();
  expect(told(scope)).toMatchObject({ status: 'True', reason: 'AddressGiven', message: `The host is ${ADDRESS}:2222` });
  expect(world.stored().metadata.finalizers).toEqual([MACHINE_FINALIZER]);
  expect(world.stored().metadata.annotations?.[ANNOTATION.runID]).toMatch(/^m-[0-9a-f]{16}$/);
  expect(world.server.requests.slice(before).filter(({ method }) => method === 'PATCH')).toHaveLength(1);
});

test('no run ID before there is bootstrap data', async () => {
  await world.create(owner({ bootstrap: {} }), machine({ address: ADDRESS }));
  await run();
  expect(world.stored().metadata.annotations?.[ANNOTATION.runID]).toBeUndefined();
});

test('an entry of the pool, in the failure domain of its Machine', async () => {
  const at = (address: string, failureDomain: string) => ({ failureDomain, machine: { address, sshKeyRef: { name: 'key' } } });
  await world.create(
    entry('a', at('10.0.0.1', 'x')),
    entry('b', at('10.0.0.2', 'y')),
    owner({ failureDomain: 'y' }),
    machine({ pool: 'p' }),
  );
  const { scope } = await run();
  expect(told(scope)).toMatchObject({ status: 'True', reason: 'Reserved', message: 'Has PooledRemoteMachine b, host 10.0.0.2:22' });
  expect(scope.entry?.metadata.name).toBe('b');
  expect(world.storedEntry('b').status).toMatchObject({ reserved: true, machineRef: { name: 'm' } });
  expect(world.storedEntry('a').status?.reserved).not.toBe(true);
});

test('who waits is in line for what it waits for, and leaves the line once it has it', async () => {
  await world.create(owner(), machine({ pool: 'p' }));
  await run();
  const request = { namespace: NAMESPACE, name: 'm' };
  expect(waiting.all(poolTopic(NAMESPACE, 'p'))).toEqual([request]);
  await world.create(entry('a'));
  await run();
  expect(waiting.all(poolTopic(NAMESPACE, 'p'))).toEqual([]);
  expect(world.storedEntry('a').status?.reserved).toBe(true);
  await world.create(machine({ address: ADDRESS }, { name: 'n' }));
  const { scope } = await run('n');
  expect(told(scope)).toMatchObject({ status: 'Unknown', reason: 'DuplicateHost' });
  expect(told(scope).message).toContain(`RemoteMachine ${NAMESPACE}/m has the same host ${ADDRESS}:22`);
  expect(waiting.all(hostTopic(`${ADDRESS}:22`))).toEqual([{ namespace: NAMESPACE, name: 'n' }]);
});

test('a provisioned machine stays ready whatever its reservation says', async () => {
  const taken = { reserved: true, machineRef: { name: 'x', namespace: NAMESPACE, uid: 'x' } };
  await world.create(
    entry('a', {}, {}, taken),
    owner(),
    reserved({ pool: 'p', address: ADDRESS, providerID: 'x' }, { annotations: { [ANNOTATION.poolEntry]: 'a' } }),
  );
  const { scope, result } = await run();
  expect(result).toBeUndefined();
  expect(told(scope)).toMatchObject({ status: 'False', reason: 'DuplicateHost', ready: undefined });
});

test('a write that somebody came before rejects, and leaves no entry half taken', async () => {
  await world.create(entry('a'), owner(), machine({ pool: 'p' }));
  world.server.fail({ method: 'PATCH', path: /pooledremotemachines\/a\/status/, status: 409, reason: 'Conflict' });
  await expect(reserve(world.deps, waiting, world.scope())).rejects.toMatchObject({ status: 409 });
  await world.synced();
  const { scope } = await run();
  expect(told(scope)).toMatchObject({ status: 'True' });
  expect(world.server.list(POOLED_REMOTE_MACHINES)).toHaveLength(1);
});
