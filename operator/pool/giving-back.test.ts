import { CONDITION, REASON } from '../../apis/infrastructure/conditions.ts';
import { ANNOTATION, ENTRY_FINALIZER } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES } from '../../apis/infrastructure/resources.ts';
import type { EntryMark } from './entry-status.ts';
import { host, machine } from './testing/objects.ts';
import { NAMESPACE, Setting, type Side } from './testing/setting.ts';

const CLEAN: EntryMark = { type: CONDITION.Clean, status: 'True', reason: REASON.Cleaned, message: 'cleaned' };
const DIRTY: EntryMark = { ...CLEAN, status: 'False', reason: REASON.CleanupFailed };

let setting: Setting;
beforeEach(async () => {
  setting = await Setting.start();
});
afterEach(() => setting.stop());

const given = (...objects: (PooledRemoteMachine | RemoteMachine)[]): Promise<Side> => setting.given(...objects);
/** The machine `m` gets its entry. */
const reserve = ({ allocator, machines }: Side): Promise<unknown> =>
  allocator.reserve(machines.get(NAMESPACE, 'm') as RemoteMachine, { failureDomain: undefined, startRun: true });
const heldBy = (uid: string): object => ({ status: { reserved: true, machineRef: { name: 'other', namespace: NAMESPACE, uid } } });

test('frees the entry with what was found, then takes off finalizer and quarantine', async () => {
  const side = await given(host('a'), machine('m'));
  await reserve(side);
  await side.allocator.settle(setting.storedEntry('a'));
  expect(setting.storedEntry('a').metadata.finalizers).toEqual([ENTRY_FINALIZER]);
  const quarantined = await side.allocator.quarantine(setting.storedEntry('a'), setting.storedMachine('m'), 'r', DIRTY);
  expect(quarantined).toMatchObject({ metadata: { annotations: { [ANNOTATION.quarantined]: 'r' } }, status: { reserved: true } });
  await side.allocator.release(quarantined, setting.storedMachine('m'), [CLEAN]);
  const { metadata, status } = setting.storedEntry('a');
  expect([metadata.finalizers ?? [], metadata.annotations ?? {}]).toEqual([[], {}]);
  expect(status).not.toHaveProperty('machineRef');
  expect(status).toMatchObject({ reserved: false });
});

test('an entry in quarantine does not go before its host is clean, and is let go after', async () => {
  const side = await given(host('a'), machine('m'));
  const { metadata } = await side.allocator.quarantine(setting.storedEntry('a'), setting.storedMachine('m'), 'r', DIRTY);
  expect(metadata.finalizers).toEqual([ENTRY_FINALIZER]);
  await side.allocator.free(setting.storedEntry('a'), [CLEAN]);
  expect(setting.storedEntry('a').metadata.finalizers ?? []).toEqual([]);
});

test('leaves an entry alone that another machine has by now', async () => {
  const side = await given(host('a', heldBy('x')), machine('m'));
  await side.allocator.release(setting.storedEntry('a'), setting.storedMachine('m'), [CLEAN]);
  expect(setting.storedEntry('a').status).toMatchObject({ reserved: true, machineRef: { uid: 'x' } });
});

test('says nothing twice, whatever else is known of the host', async () => {
  const side = await given(host('a'), machine('m'));
  await reserve(side);
  const marked = await side.allocator.mark(setting.storedEntry('a'), { marks: [CLEAN], host: { hostname: 'h' } });
  const before = setting.writes().length;
  await side.allocator.mark(marked, { marks: [CLEAN] });
  expect(setting.writes()).toHaveLength(before);
  expect(setting.storedEntry('a').status?.host).toEqual({ hostname: 'h' });
});

test('does not write over what somebody else wrote', async () => {
  const side = await given(host('a'), machine('m'));
  const stale = setting.storedEntry('a');
  await reserve(side);
  await expect(side.allocator.free(stale, [CLEAN])).rejects.toMatchObject({ status: 409 });
});

test('a quarantine is not written over the entry of another machine', async () => {
  const side = await given(host('a'), machine('m'));
  await reserve(side);
  const entry = setting.storedEntry('a');
  // Another manager has freed it, and given it to somebody else.
  setting.server.patch(POOLED_REMOTE_MACHINES, { namespace: NAMESPACE, name: 'a' }, heldBy('x'), 'status');
  await expect(side.allocator.quarantine(entry, setting.storedMachine('m'), 'r', DIRTY)).rejects.toMatchObject({ status: 409 });
  const { metadata, status } = setting.storedEntry('a');
  expect(metadata.annotations).toBeUndefined();
  expect(status?.conditions?.find(({ type }) => type === 'Clean')?.status).toBe('True');
});
