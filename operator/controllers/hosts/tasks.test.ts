import { ownerOfTask, taskKey } from './tasks.ts';

test.each(['machine', 'entry'] as const)('the key of a task of a %s leads back to its object', (owner) => {
  const key = taskKey(owner, { metadata: { namespace: 'ns', name: 'a', uid: '1' } });
  expect(ownerOfTask(key)).toEqual({ owner, request: { namespace: 'ns', name: 'a' } });
});

test('an object made anew under the same name has another key', () => {
  const key = (uid: string) => taskKey('machine', { metadata: { namespace: 'ns', name: 'a', uid } });
  expect(key('1')).not.toBe(key('2'));
});
