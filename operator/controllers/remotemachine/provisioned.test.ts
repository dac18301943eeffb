import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { Machine } from '../../../apis/cluster/types.ts';
import { PUBLIC_KEYS } from '../testing/executor.ts';
import { ADDRESS, entry, NAMESPACE, owner, OWNERS, reserved, RUN } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { addressesOf, reportProvisioned, settle } from './provisioned.ts';

const providerID = `remote-machine://${ADDRESS}:22`;
let world: World;
beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world.stop());

test.each([
  ['10.0.0.1', [{ type: 'ExternalIP', address: '10.0.0.1' }]],
  ['[fd00::1]', [{ type: 'ExternalIP', address: 'fd00::1' }]],
  ['host.example', ['Hostname', 'ExternalDNS'].map((type) => ({ type, address: 'host.example' }))],
])('addresses of %s', (address, expected) => expect(addressesOf(address)).toEqual(expected));

describe('what is reported', () => {
  test('is all there after the status was lost, from spec and annotations', async () => {
    await world.create(
      owner(),
      entry('a', { failureDomain: 'x' }),
      reserved({ pool: 'p', address: ADDRESS, providerID }, { annotations: { [ANNOTATION.poolEntry]: 'a' } }),
    );
    const scope = world.scope();
    reportProvisioned(scope);
    expect(scope.status).toMatchObject({
      ready: true,
      initialization: { provisioned: true },
      failureDomain: 'x',
      addresses: [{ type: 'ExternalIP', address: ADDRESS }],
    });
    expect(scope.condition('Ready')).toMatchObject({ status: 'True', reason: 'Provisioned', message: `Provisioned as ${providerID}` });
    expect(scope.condition('BootstrapExecSucceeded')).toMatchObject({ status: 'True', message: `Run ${RUN} succeeded` });
  });

  test('a machine of another operator has no run', async () => {
    await world.create(reserved({ address: ADDRESS, providerID }));
    await world.patch(REMOTE_MACHINES, 'm', { metadata: { annotations: null } });
    const scope = world.scope();
    reportProvisioned(scope);
    expect(scope.condition('BootstrapExecSucceeded')?.message).toContain('before this operator');
    expect(scope.status.addresses).toHaveLength(1);
  });
});

describe('what follows', () => {
  const annotations = { [ANNOTATION.poolEntry]: 'a', [ANNOTATION.hostKey]: PUBLIC_KEYS[0] };
  const ready = { ready: true, host: { hostname: 'h' } };

  async function pooled(status: object, onEntry: object = {}): Promise<void> {
    const metadata = { labels: { rack: 'r1' }, annotations: { note: 'n', 'cluster.x-k8s.io/paused': '' }, ...onEntry };
    await world.create(owner(), entry('a', {}, metadata), reserved({ pool: 'p', address: ADDRESS, providerID }, { annotations, status }));
    await world.bind('a');
  }

  test('the entry gets facts, key and finalizer, the Machine its labels; the second time nothing is written', async () => {
    await pooled(ready);
    await settle(world.deps, world.scope());
    await world.synced();
    const { metadata, status } = world.storedEntry('a');
    expect(status).toMatchObject({ host: { hostname: 'h' } });
    expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Reachable', status: 'True' }));
    expect(metadata.annotations).toMatchObject({ [ANNOTATION.hostKey]: PUBLIC_KEYS[0] });
    expect(metadata.finalizers).toHaveLength(1);
    const machine = world.server.get<Machine>(OWNERS, { namespace: NAMESPACE, name: 'm' });
    expect(machine.metadata.labels).toEqual({ rack: 'r1' });
    expect(machine.metadata.annotations).toEqual({ note: 'n' });
    const before = world.server.requests.length;
    await settle(world.deps, world.scope());
    expect(world.server.requests.slice(before).filter(({ method }) => method === 'PATCH')).toEqual([]);
  });

  test("of another operator's machine nobody knows whether its host can be reached", async () => {
    await pooled({ ready: true });
    await world.patch(REMOTE_MACHINES, 'm', { metadata: { annotations: { [ANNOTATION.runID]: null } } });
    await settle(world.deps, world.scope());
    await world.synced();
    expect(world.storedEntry('a').status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Reachable', status: 'Unknown', reason: 'NotContacted' }),
    );
  });
});
