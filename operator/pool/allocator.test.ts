import { CONDITION, REASON } from '../../apis/infrastructure/conditions.ts';
import { ANNOTATION, MACHINE_FINALIZER } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../apis/infrastructure/resources.ts';
import type { Reservation, ReserveOptions } from './allocator.ts';
import type { EntryMark } from './entry-status.ts';
import { machinePatch } from './machine-patch.ts';
import { host, machine } from './testing/objects.ts';
import { caughtUp, NAMESPACE, Setting, type Side } from './testing/setting.ts';

const OPTIONS: ReserveOptions = { failureDomain: undefined, startRun: true };
const UNREACHABLE: EntryMark = { type: CONDITION.Reachable, status: 'False', reason: REASON.ConnectTimeout, message: 'no answer' };

let setting: Setting;
beforeEach(async () => {
  setting = await Setting.start();
});
afterEach(() => setting.stop());

const annotated = (name: string, annotations: object, spec?: object): RemoteMachine =>
  machine(name, { metadata: { annotations }, ...(spec && { spec }) });
const heldBy = (uid: string, name = 'other') => ({ status: { reserved: true, machineRef: { name, namespace: NAMESPACE, uid } } });

const given = (...objects: (PooledRemoteMachine | RemoteMachine)[]): Promise<Side> => setting.given(...objects);
const cached = ({ machines }: Side, name = 'm'): RemoteMachine => machines.get(NAMESPACE, name) as RemoteMachine;
const reserve = (side: Side, name = 'm', options = OPTIONS): Promise<Reservation> => side.allocator.reserve(cached(side, name), options);
const entryNameOf = ({ metadata }: RemoteMachine): string | undefined => metadata.annotations?.[ANNOTATION.poolEntry];
const runIDOf = ({ metadata }: RemoteMachine): string | undefined => metadata.annotations?.[ANNOTATION.runID];
/** The run whose claim the entry's next machine may replace. */
const givenUpAt = (entryName: string): string | undefined => setting.storedEntry(entryName).metadata.annotations?.[ANNOTATION.abandonedRun];
/** Makes the first write of a binding as a manager does that then dies. */
const name = (side: Side, entryName: string): Promise<void> => {
  const patch = machinePatch(cached(side), { to: setting.storedEntry(entryName), startRun: true });
  return caughtUp(side.machines, setting.server.patch(REMOTE_MACHINES, { namespace: NAMESPACE, name: 'm' }, patch ?? {}));
};

describe('a binding', () => {
  test('is the machine with what it takes over, then the entry', async () => {
    const labels = { rack: 'r7' };
    const side = await given(host('a', { metadata: { labels } }), machine('m'));
    const reservation = await reserve(side);
    expect(setting.writes()).toEqual(['remotemachines m', 'pooledremotemachines/status a']);
    const { metadata, spec } = setting.storedMachine('m');
    expect(metadata).toMatchObject({ labels, finalizers: [MACHINE_FINALIZER], annotations: { [ANNOTATION.poolEntry]: 'a' } });
    expect(runIDOf({ metadata } as RemoteMachine)).toMatch(/^m-[0-9a-f]{16}$/);
    expect(spec).toEqual({ pool: 'p', address: 'host-a', sshKeyRef: { name: 'key' } });
    expect(setting.storedEntry('a').status).toMatchObject({
      reserved: true,
      machineRef: { name: 'm', namespace: NAMESPACE, uid: metadata.uid },
    });
    expect(reservation).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'a' } }, machine: { spec } });
  });

  test('stays as it is, without a write', async () => {
    const side = await given(host('a'), host('b'), machine('m'));
    await reserve(side);
    const before = setting.writes().length;
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'a' } } });
    expect(setting.writes()).toHaveLength(before);
  });

  test('has no run before there is bootstrap data', async () => {
    const side = await given(host('a'), machine('m'));
    await reserve(side, 'm', { ...OPTIONS, startRun: false });
    expect(setting.storedMachine('m').spec).toMatchObject({ address: 'host-a' });
    expect(runIDOf(setting.storedMachine('m'))).toBeUndefined();
    await reserve(side);
    expect(runIDOf(setting.storedMachine('m'))).toBeDefined();
  });

  test("follows the entry's values and labels, until the machine is provisioned", async () => {
    const side = await given(host('a'), machine('m'));
    await reserve(side);
    const change = (user: string): PooledRemoteMachine =>
      setting.server.patch(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name: 'a' }, { spec: { machine: { user } } });
    await caughtUp(side.entries, change('admin'));
    await reserve(side);
    expect(setting.storedMachine('m').spec).toMatchObject({ user: 'admin' });
    const provisioned = setting.server.patch<RemoteMachine>(
      REMOTE_MACHINES,
      { namespace: NAMESPACE, name: 'm' },
      { spec: { providerID: 'x' } },
    );
    await Promise.all([caughtUp(side.machines, provisioned), caughtUp(side.entries, change('later'))]);
    await reserve(side);
    expect(setting.storedMachine('m').spec).toMatchObject({ user: 'admin' });
  });

  test.each([
    ['the first write', /remotemachines\/m$/, false],
    ['the second write', /pooledremotemachines\/a\/status$/, true],
  ])('that meets a conflict at %s is made whole by another try', async (_, path, done) => {
    const side = await given(host('a'), machine('m'));
    setting.server.fail({ method: 'PATCH', path, status: 409, reason: 'Conflict' });
    await expect(reserve(side)).rejects.toMatchObject({ status: 409 });
    const run = runIDOf(setting.storedMachine('m'));
    expect([entryNameOf(setting.storedMachine('m')) === 'a', run !== undefined]).toEqual([done, done]);
    expect(await reserve(side)).toMatchObject({ kind: 'reserved' });
    if (done) expect(runIDOf(setting.storedMachine('m'))).toBe(run);
  });

  test('that a manager left after the first write is made whole by the next one', async () => {
    const side = await given(host('a'), host('b'), annotated('m', { [ANNOTATION.poolEntry]: 'b' }));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'b' } } });
    expect(setting.storedMachine('m').metadata.finalizers).toEqual([MACHINE_FINALIZER]);
  });

  test('of a machine with a run is made whole also where its status was lost', async () => {
    const side = await given(host('a'), host('b'), annotated('m', { [ANNOTATION.poolEntry]: 'b', [ANNOTATION.runID]: 'r' }));
    await reserve(side);
    expect(setting.storedEntry('b').status?.reserved).toBe(true);
    expect(runIDOf(setting.storedMachine('m'))).toBe('r');
  });

  test('is known again by name where the machine came with a new UID', async () => {
    const side = await given(
      host('b', heldBy('uid before the move', 'm')),
      annotated('m', { [ANNOTATION.poolEntry]: 'b', [ANNOTATION.runID]: 'r' }),
    );
    await reserve(side);
    expect(setting.storedEntry('b').status?.machineRef?.uid).toBe(setting.storedMachine('m').metadata.uid);
  });

  test("of k0smotron's provider, which is in the entry's status alone, is taken over", async () => {
    const status = { reserved: true, machineRef: { name: 'm', namespace: NAMESPACE } };
    const side = await given(host('a'), host('b', { status }), machine('m', { spec: { pool: 'p', address: 'host-b', providerID: 'x' } }));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'b' } } });
    expect(entryNameOf(setting.storedMachine('m'))).toBe('b');
    expect(runIDOf(setting.storedMachine('m'))).toBeUndefined();
  });
});

describe('a machine whose entry another one has', () => {
  test('chooses anew, with another run, and has nothing of the one that it lost', async () => {
    const side = await given(
      host('a', { ...heldBy('x'), metadata: { labels: { rack: 'a', row: '1' } } }),
      host('b', { metadata: { labels: { rack: 'b' } } }),
      machine('m'),
    );
    await name(side, 'a');
    const lost = runIDOf(setting.storedMachine('m'));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'b' } } });
    expect(setting.storedMachine('m')).toMatchObject({ spec: { address: 'host-b' } });
    expect(setting.storedMachine('m').metadata.labels).toEqual({ rack: 'b' });
    expect([undefined, lost]).not.toContain(runIDOf(setting.storedMachine('m')));
    // What may be at work there after a restore is not put out for whoever has the host now.
    expect(givenUpAt('a')).toBeUndefined();
  });

  test('has given nothing up while it may still begin there', async () => {
    const side = await given(host('a', heldBy('x')), host('b'), machine('m'));
    await name(side, 'a');
    setting.server.fail({ method: 'PATCH', path: /\/remotemachines\/m$/, status: 409, reason: 'Conflict' });
    await expect(reserve(side)).rejects.toMatchObject({ status: 409 });
    expect(givenUpAt('a')).toBeUndefined();
  });

  test('chooses anew also where this manager lost the race for it', async () => {
    const side = await given(host('a'), host('b'), machine('m'));
    setting.server.fail({ method: 'PATCH', path: /pooledremotemachines\/a\/status$/, status: 409, reason: 'Conflict' });
    await expect(reserve(side)).rejects.toMatchObject({ status: 409 });
    const status = { reserved: true, machineRef: { name: 'other', namespace: NAMESPACE, uid: 'x' } };
    const ref = { namespace: NAMESPACE, name: 'a' };
    await caughtUp(side.entries, setting.server.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, ref, { status }, 'status'));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'b' } } });
    expect(setting.storedMachine('m').spec).toMatchObject({ address: 'host-b' });
    expect(givenUpAt('a')).toBeUndefined();
  });

  test('waits without any where there is no other', async () => {
    const side = await given(host('a', heldBy('x')), machine('m'));
    await name(side, 'a');
    expect(await reserve(side)).toMatchObject({ kind: 'none', terminal: false, reason: 'WaitingForHost' });
    expect(givenUpAt('a')).toBeUndefined();
    const { metadata, spec } = setting.storedMachine('m');
    expect([entryNameOf({ metadata } as RemoteMachine), runIDOf({ metadata } as RemoteMachine), spec]).toEqual([
      undefined,
      undefined,
      { pool: 'p' },
    ]);
  });

  test('waits for that very one if it asks for its address', async () => {
    const side = await given(host('a', heldBy('x')), host('b'), machine('m', { spec: { pool: 'p', address: 'host-a' } }));
    await name(side, 'a');
    expect(await reserve(side)).toMatchObject({ kind: 'none', reason: 'WaitingForHost' });
    expect(setting.storedMachine('m').spec).toMatchObject({ pool: 'p', address: 'host-a' });
  });

  test.each<[string, Parameters<typeof machine>[1]]>([
    ['says how far its run is', { status: { bootstrap: { runID: 'r', phase: 'Running' } } }],
    ['is provisioned', { spec: { pool: 'p', providerID: 'x' } }],
  ])('waits for it if it %s, as something of it is on the host', async (_, rest) => {
    const side = await given(host('a', heldBy('x')), host('b'), machine('m', rest));
    await name(side, 'a');
    const message = 'PooledRemoteMachine a is reserved by RemoteMachine default/other';
    expect(await reserve(side)).toEqual({ kind: 'none', terminal: false, reason: 'DuplicateHost', message });
    expect(entryNameOf(setting.storedMachine('m'))).toBe('a');
  });

  test('waits for it if this manager sent something to the host', async () => {
    const side = await given(host('a'), host('b'), machine('m'));
    await reserve(side);
    side.allocator.touch(cached(side));
    const stolen = { status: { reserved: true, machineRef: { name: 'other', namespace: NAMESPACE, uid: 'x' } } };
    const ref = { namespace: NAMESPACE, name: 'a' };
    await caughtUp(side.entries, setting.server.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, ref, stolen, 'status'));
    expect(await reserve(side)).toMatchObject({ kind: 'none', reason: 'DuplicateHost' });
  });
});

describe('an entry that is gone', () => {
  test('is replaced for a machine without a run', async () => {
    const side = await given(host('b'), annotated('m', { [ANNOTATION.poolEntry]: 'a' }));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'b' } } });
  });
  test('lives on in the copy of a machine with one', async () => {
    const side = await given(
      host('b'),
      annotated('m', { [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: 'r' }, { pool: 'p', address: 'host-a' }),
    );
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: undefined, machine: { spec: { address: 'host-a' } } });
  });
  test('is waited for where there is no copy', async () => {
    const side = await given(annotated('m', { [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: 'r' }));
    expect(await reserve(side)).toMatchObject({ kind: 'none', reason: 'WaitingForHost' });
  });
});

describe('a machine whose host cannot be reached', () => {
  test('goes on to the next one, with another run, and leaves nothing behind', async () => {
    const side = await given(host('a', { spec: { machine: { address: 'host-a', user: 'admin' } } }), host('b'), machine('m'));
    await reserve(side);
    const first = runIDOf(setting.storedMachine('m'));
    expect(await side.allocator.moveOn(cached(side), OPTIONS, UNREACHABLE)).toMatchObject({
      kind: 'reserved',
      entry: { metadata: { name: 'b' } },
    });
    const { metadata, spec } = setting.storedMachine('m');
    expect(spec).toEqual({ pool: 'p', address: 'host-b', sshKeyRef: { name: 'key' } });
    expect([undefined, first]).not.toContain(metadata.annotations?.[ANNOTATION.runID]);
    const { status } = setting.storedEntry('a');
    expect(status).toMatchObject({ reserved: false });
    expect(status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'False', reason: 'ConnectTimeout' });
    expect(side.allocator.isUnreachable(setting.storedEntry('a'))).toBe(true);
  });

  test('goes round among those that are out of reach, and one that answered counts as reachable', async () => {
    const side = await given(host('a'), host('b'), machine('m'));
    await reserve(side);
    for (const expected of ['b', 'a', 'b']) {
      await side.allocator.moveOn(cached(side), OPTIONS, UNREACHABLE);
      expect(entryNameOf(setting.storedMachine('m'))).toBe(expected);
    }
    side.allocator.touch(cached(side));
    await side.allocator.mark(setting.storedEntry('b'), { marks: [{ ...UNREACHABLE, status: 'True', reason: REASON.Reachable }] });
    expect(['a', 'b'].map((each) => side.allocator.isUnreachable(setting.storedEntry(each)))).toEqual([true, false]);
  });

  test('counts for that entry only, not for one that is made anew under its name', async () => {
    const side = await given(host('a'), host('b'), machine('m'));
    await reserve(side);
    await side.allocator.moveOn(cached(side), OPTIONS, UNREACHABLE);
    setting.server.delete(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name: 'a' });
    await caughtUp(side.entries, setting.entry(host('a', { spec: { machine: { address: 'other', sshKeyRef: { name: 'key' } } } })));
    expect(side.allocator.isUnreachable(setting.storedEntry('a'))).toBe(false);
  });

  test.each<[string, (side: Side) => void | Promise<unknown>, object]>([
    ['something was sent to it', ({ allocator, machines }) => allocator.touch(machines.get(NAMESPACE, 'm') as RemoteMachine), {}],
    ['it asked for this very one', () => undefined, { address: 'host-a' }],
    [
      'there is no other',
      ({ entries }) =>
        caughtUp(
          entries,
          setting.server.patch(
            POOLED_REMOTE_MACHINES,
            { namespace: NAMESPACE, name: 'b' },
            { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } },
          ),
        ),
      {},
    ],
  ])('stays where it is if %s', async (_, prepare, spec) => {
    const side = await given(host('a'), host('b'), machine('m', { spec: { pool: 'p', ...spec } }));
    await reserve(side);
    await prepare(side);
    expect(await side.allocator.moveOn(cached(side), OPTIONS, UNREACHABLE)).toBeUndefined();
    expect(entryNameOf(setting.storedMachine('m'))).toBe('a');
  });

  test('stays where it is if another manager may have sent something', async () => {
    await reserve(await given(host('a'), host('b'), machine('m')));
    const next = await setting.side();
    expect(await next.allocator.moveOn(cached(next), OPTIONS, UNREACHABLE)).toBeUndefined();
  });
});

describe('machines at once', () => {
  test('do not race for one entry', async () => {
    const side = await given(host('a'), host('b'), machine('m'), machine('n'));
    const both = await Promise.all([reserve(side), reserve(side, 'n')]);
    expect(both).toMatchObject([{ entry: { metadata: { name: 'a' } } }, { entry: { metadata: { name: 'b' } } }]);
  });

  test('wait for a binding that is under way, and have the entry if it fails', async () => {
    const side = await given(host('a'), machine('m'), machine('n'));
    const { promise, resolve } = Promise.withResolvers<void>();
    setting.server.fail({ method: 'PATCH', path: /remotemachines\/m$/, wait: promise, status: 404, reason: 'NotFound' });
    const sent = setting.server.seen('PATCH', /remotemachines\/m$/);
    const first = reserve(side);
    await sent;
    const second = reserve(side, 'n');
    resolve();
    await expect(first).rejects.toMatchObject({ status: 404 });
    expect(await second).toMatchObject({ kind: 'reserved', entry: { metadata: { name: 'a' } } });
  });
});

describe('an explicit machine', () => {
  test('has its own host', async () => {
    const side = await given(machine('m', { spec: { address: 'h' } }));
    expect(await reserve(side)).toMatchObject({ kind: 'reserved', entry: undefined });
    expect(setting.storedMachine('m').metadata).toMatchObject({ finalizers: [MACHINE_FINALIZER] });
  });
  test.each<[string, (PooledRemoteMachine | RemoteMachine)[], string]>([
    [
      'an entry in use',
      [host('a', heldBy('x'))],
      'PooledRemoteMachine default/a is the same host host-a:22 and is in use; waiting until it is free',
    ],
    [
      'a machine that has a run there',
      [annotated('z', { [ANNOTATION.runID]: 'r' }, { address: 'host-a' })],
      'RemoteMachine default/z has the same host host-a:22; waiting until it is gone',
    ],
    [
      'an older machine',
      [machine('a', { spec: { address: 'HOST-A', port: 22 } })],
      'RemoteMachine default/a has the same host host-a:22; waiting until it is gone',
    ],
  ])('waits for %s with its host', async (_, others, message) => {
    const side = await given(...others, machine('m', { spec: { address: 'host-a' } }));
    expect(await reserve(side)).toEqual({ kind: 'none', terminal: false, reason: 'DuplicateHost', message });
  });
  test('does not wait for a free entry, nor for a machine that asks a pool for the host', async () => {
    const side = await given(
      host('a'),
      machine('a', { spec: { pool: 'p', address: 'host-a' } }),
      machine('m', { spec: { address: 'host-a' } }),
    );
    expect(await reserve(side)).toMatchObject({ kind: 'reserved' });
  });
  test('without address and pool is told what to do', async () => {
    const side = await given(machine('m', { spec: {} }));
    expect(await reserve(side)).toMatchObject({ kind: 'none', terminal: true, reason: 'NoPoolOrAddress' });
  });
});
