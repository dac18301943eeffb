import { CONDITION, REASON } from '../../apis/infrastructure/conditions.ts';
import type { PooledRemoteMachine } from '../../apis/infrastructure/kinds.ts';
import type { Condition } from '../../apis/infrastructure/status.ts';
import { applyMergePatch } from '../framework/testing/storage.ts';
import { type EntryChange, type EntryMark, entryStatus, MESSAGE_LIMIT } from './entry-status.ts';
import { entry } from './testing/objects.ts';

type Status = NonNullable<PooledRemoteMachine['status']>;
const mark = (type: EntryMark['type'], status: EntryMark['status'], reason: EntryMark['reason'], message = 'm'): EntryMark => ({
  type,
  status,
  reason,
  message,
});
/** The status after some changes, one upon the other. */
function after(...changes: EntryChange[]): Status {
  let status: Status | undefined;
  for (const change of changes) {
    const patch = entryStatus(entry('e', status === undefined ? {} : { status }), change, new Date());
    status = applyMergePatch(status ?? {}, patch) as Status;
  }
  return status as Status;
}
const told = ({ conditions }: Status, type: string) => {
  const { status, reason, message } = conditions?.find((one) => one.type === type) as Condition;
  return { status, reason, message };
};
const machineRef = { name: 'm', namespace: 'default', uid: 'u' };
const taken: EntryChange = { reserved: true, machineRef, marks: [] };
const freed: EntryChange = { reserved: false, marks: [] };
const unreachable: EntryChange = { marks: [mark(CONDITION.Reachable, 'False', REASON.ConnectTimeout, 'no answer')] };
const dirty: EntryChange = { marks: [mark(CONDITION.Clean, 'False', REASON.CleanupFailed, 'rm failed')] };
const clean: EntryChange = { marks: [mark(CONDITION.Clean, 'True', REASON.Cleaned, 'cleaned')] };
const duplicate: EntryChange = { marks: [mark(CONDITION.Ready, 'False', REASON.DuplicateHost, 'same as e0')] };

test('before anything is known it is free, clean, and nobody knows whether it can be reached', () => {
  const status = after({ marks: [] });
  expect(status.reserved).toBe(false);
  expect(told(status, 'Ready')).toEqual({ status: 'True', reason: 'Available', message: 'Free' });
  expect(told(status, 'Clean')).toMatchObject({ status: 'True', reason: 'NeverClaimed' });
  expect(told(status, 'Reachable')).toMatchObject({ status: 'Unknown', reason: 'NotContacted' });
});

test.each<[string, EntryChange[], object]>([
  ['a machine has it', [taken], { status: 'True', reason: 'Reserved', message: 'Serves RemoteMachine m' }],
  ['it was freed', [taken, freed], { status: 'True', reason: 'Available' }],
  ['a free one is out of reach', [unreachable], { status: 'False', reason: 'ConnectTimeout', message: 'no answer' }],
  ['one in use is out of reach', [taken, unreachable], { status: 'True', reason: 'Reserved' }],
  ['a free one is dirty', [dirty], { status: 'False', reason: 'Quarantined', message: 'rm failed' }],
  ['one in use is dirty', [taken, dirty], { status: 'False', reason: 'Quarantined' }],
  ['a dirty one is out of reach', [dirty, unreachable], { status: 'False', reason: 'Quarantined' }],
  ['a dirty one was cleaned', [taken, dirty, { ...clean, reserved: false }], { status: 'True', reason: 'Available' }],
  ['another entry is the same host', [duplicate], { status: 'False', reason: 'DuplicateHost', message: 'same as e0' }],
  ['another entry is the same host, and a machine has this one', [taken, duplicate], { status: 'True', reason: 'Reserved' }],
])('Ready where %s', (_, changes, expected) => expect(told(after(...changes), 'Ready')).toMatchObject(expected));

test("an empty reference, as k0smotron's provider leaves it in a free entry, goes", () => {
  const status = { reserved: false, machineRef: { name: '', namespace: '' } };
  expect(entryStatus(entry('e', { status }), { marks: [] }, new Date())).toMatchObject({ reserved: false, machineRef: null });
});

test('the machine is named while it is reserved, through changes of anything else', () => {
  expect(after(taken, unreachable, dirty)).toMatchObject({ reserved: true, machineRef });
  const free = after(taken, freed);
  expect(free.reserved).toBe(false);
  expect(free).not.toHaveProperty('machineRef');
});

test('facts of the host stay until others come, also when it is free', () => {
  const host = { hostname: 'h' };
  expect(entryStatus(entry('e'), { marks: [], host }, new Date())).toMatchObject({ host });
  expect(entryStatus(entry('e', { status: { host } }), freed, new Date())).toMatchObject({ host });
});

test('a message is cut to what a condition takes', () => {
  const status = after({ marks: [mark(CONDITION.Clean, 'False', REASON.CleanupFailed, 'x'.repeat(MESSAGE_LIMIT + 1))] });
  expect(told(status, 'Clean').message).toHaveLength(MESSAGE_LIMIT);
});
