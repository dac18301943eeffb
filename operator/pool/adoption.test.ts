/** Bindings that come from elsewhere: of another operator, of before a move, or of an entry that is no more what it was. */
import { CONDITION, REASON } from '../../apis/infrastructure/conditions.ts';
import { ANNOTATION, ENTRY_FINALIZER, PEER_MACHINE_FINALIZER } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES } from '../../apis/infrastructure/resources.ts';
import type { Reservation, ReserveOptions } from './allocator.ts';
import type { EntryMark } from './entry-status.ts';
import { host, machine } from './testing/objects.ts';
import { caughtUp, NAMESPACE, Setting, type Side } from './testing/setting.ts';

const OPTIONS: ReserveOptions = { failureDomain: undefined, startRun: true };
const CLEAN: EntryMark = { type: CONDITION.Clean, status: 'True', reason: REASON.Cleaned, message: 'cleaned' };

let setting: Setting;
beforeEach(async () => {
  setting = await Setting.start();
});
afterEach(() => setting.stop());

const annotated = (name: string, annotations: object, spec?: object): RemoteMachine =>
  machine(name, { metadata: { annotations }, ...(spec && { spec }) });

const given = (...objects: (PooledRemoteMachine | RemoteMachine)[]): Promise<Side> => setting.given(...objects);
const cached = ({ machines }: Side, name = 'm'): RemoteMachine => machines.get(NAMESPACE, name) as RemoteMachine;
const reserve = (side: Side, name = 'm', options = OPTIONS): Promise<Reservation> => side.allocator.reserve(cached(side, name), options);
const runIDOf = ({ metadata }: RemoteMachine): string | undefined => metadata.annotations?.[ANNOTATION.runID];

describe('an entry that was made anew under its name', () => {
  /** Bound, and then the entry is another host's. */
  async function remade(side: Side, annotations: object = {}): Promise<void> {
    setting.server.delete(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name: 'a' });
    const other = host('a', { spec: { machine: { address: 'elsewhere' } }, metadata: { annotations } });
    await caughtUp(side.entries, setting.entry(other));
  }

  test('is not the host of a machine to whose host something was sent: the copy serves', async () => {
    const side = await given(host('a'), machine('m'));
    await reserve(side);
    side.allocator.touch(cached(side));
    await remade(side);
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: undefined, machine: { spec: { address: 'host-a' } } });
    expect(side.allocator.entryOf(cached(side))).toBeUndefined();
    expect(setting.storedEntry('a').status?.reserved).toBeUndefined();
  });

  test('is any other entry to a machine that was nowhere yet', async () => {
    const side = await given(host('a'), machine('m'));
    await reserve(side);
    await remade(side);
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', machine: { spec: { address: 'elsewhere' } } });
  });
});

test('an entry that names its machine is its host, whatever is corrected on the way there', async () => {
  const side = await given(host('a'), machine('m'));
  await reserve(side);
  side.allocator.touch(cached(side));
  const bastions = [{ address: 'gate' }];
  const change = { spec: { machine: { bastions } } };
  await caughtUp(side.entries, setting.server.patch(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name: 'a' }, change));
  expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { spec: { machine: { bastions } } } });
  expect(side.allocator.entryOf(cached(side))?.metadata.name).toBe('a');
});

describe("k0smotron's reservations", () => {
  const named = { status: { reserved: true, machineRef: { name: 'm', namespace: NAMESPACE } } };

  test('get the UID of their machine, as another one may have its name one day', async () => {
    const side = await given(host('a', named), machine('m', { spec: { pool: 'p', address: 'host-a', providerID: 'x' } }));
    await reserve(side, 'm', { ...OPTIONS, clusterName: 'c' });
    const { uid } = setting.storedMachine('m').metadata;
    expect(setting.storedEntry('a').status?.machineRef).toEqual({ name: 'm', namespace: NAMESPACE, uid, clusterName: 'c' });
  });

  test('count as begun: such a machine does not go on to another host', async () => {
    const begun = machine('m', { metadata: { finalizers: [PEER_MACHINE_FINALIZER] }, spec: { pool: 'p', address: 'host-a' } });
    const side = await given(host('a', named), host('b'), begun);
    await reserve(side);
    const why = { ...CLEAN, type: CONDITION.Reachable, status: 'False' as const };
    expect(await side.allocator.moveOn(cached(side), OPTIONS, why)).toBeUndefined();
    expect(side.allocator.isUntouched(cached(side))).toBe(false);
  });

  test('are not those of a new machine that has the name of an old one', async () => {
    const side = await given(host('a', named), host('b'), machine('m'));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'b' } } });
  });

  test('of a host in quarantine are not those of a new machine of the same name', async () => {
    const dirty = { ...named, metadata: { annotations: { [ANNOTATION.quarantined]: 'adopted/r' } } };
    const side = await given(host('a', dirty), machine('m'));
    expect(await reserve(side)).toMatchObject({ kind: 'none', reason: 'WaitingForHost' });
  });
});

describe('an entry that lost its status in a move or a restore', () => {
  const moved = { metadata: { finalizers: [ENTRY_FINALIZER] } };

  test('is handed to nobody else', async () => {
    const side = await given(host('a', moved), machine('m'));
    expect(await reserve(side)).toMatchObject({
      kind: 'none',
      reason: 'WaitingForHost',
      message: expect.stringContaining('1 unsettled') as string,
    });
    await side.allocator.mark(setting.storedEntry('a'), { marks: [CLEAN] });
    expect(setting.storedEntry('a').status).not.toHaveProperty('reserved');
  });

  test('is taken up again by the machine that names it', async () => {
    const annotations = { [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: 'm-1' };
    const side = await given(host('a', moved), annotated('m', annotations, { pool: 'p', address: 'host-a', providerID: 'x' }));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { status: { reserved: true } } });
    expect(runIDOf(setting.storedMachine('m'))).toBe('m-1');
  });
});
