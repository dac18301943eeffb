import fc from 'fast-check';
import { hostTopic, poolTopic, WaitingList } from './waiting.ts';

const request = (name: string) => ({ namespace: 'n', name });
const waiter = (name: string, second = 0, failureDomain?: string) => ({
  request: request(name),
  createdAt: `2026-01-01T00:00:0${second}Z`,
  failureDomain,
});
const POOL = poolTopic('n', 'p');
const namesOf = (requests: { name: string }[]): string[] => requests.map(({ name }) => name);

test('the oldest are woken first, those of one second by name, and no more than there is room for', () => {
  const list = new WaitingList();
  for (const one of [waiter('b', 1), waiter('late', 2), waiter('a', 1), waiter('first', 0)]) list.wait(POOL, one);
  expect(namesOf(list.next(POOL, 3))).toEqual(['first', 'a', 'b']);
  expect(namesOf(list.next(POOL, 9))).toEqual(['first', 'a', 'b', 'late']);
  expect(list.next(POOL, 0)).toEqual([]);
});

test('those that cannot use a host of the failure domain are left out, whatever their age', () => {
  const list = new WaitingList();
  for (const one of [waiter('y', 0, 'y'), waiter('z', 1, 'z'), waiter('any', 2)]) list.wait(POOL, one);
  expect(namesOf(list.next(POOL, 1, { failureDomain: 'z' }))).toEqual(['z']);
  expect(namesOf(list.next(POOL, 9, { failureDomain: 'y' }))).toEqual(['y', 'any']);
  expect(namesOf(list.next(POOL, 9))).toEqual(['any']);
});

test('one that takes a single host does not stand before those that take any', () => {
  const list = new WaitingList();
  list.wait(POOL, { ...waiter('picky', 0), identity: 'h:22' });
  list.wait(POOL, waiter('any', 1));
  expect(namesOf(list.next(POOL, 1, { identity: 'other:22' }))).toEqual(['any']);
  expect(namesOf(list.next(POOL, 1, { identity: 'h:22' }))).toEqual(['picky']);
});

test('a topic is waited for until the last one leaves', () => {
  const list = new WaitingList();
  expect(list.has(POOL)).toBe(false);
  for (const name of ['a', 'b']) list.wait(POOL, waiter(name));
  list.leave(request('a'));
  expect(list.has(POOL)).toBe(true);
  list.leave(request('b'));
  expect(list.has(POOL)).toBe(false);
});

test('a machine waits for one thing at a time, once, until it leaves', () => {
  const list = new WaitingList();
  const host = hostTopic('h:22');
  list.wait(POOL, waiter('m'));
  list.wait(POOL, waiter('m'));
  expect(namesOf(list.all(POOL))).toEqual(['m']);
  list.wait(host, waiter('m'));
  expect([namesOf(list.all(POOL)), namesOf(list.all(host))]).toEqual([[], ['m']]);
  list.leave(request('m'));
  list.leave(request('m'));
  expect(list.all(host)).toEqual([]);
});

test('pools of one name in two namespaces, and hosts, are different things to wait for', () => {
  const list = new WaitingList();
  list.wait(POOL, waiter('m'));
  expect([poolTopic('other', 'p'), hostTopic('n/p')].flatMap((topic) => list.all(topic))).toEqual([]);
});

test('whatever came and went, those are woken who would be if all were put in order', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const step = fc.record({
    name: fc.constantFrom(...names),
    leaves: fc.boolean(),
    topic: fc.constantFrom(POOL, hostTopic('h:22')),
    second: fc.nat({ max: 3 }),
    failureDomain: fc.constantFrom(undefined, 'x', 'y'),
  });
  fc.assert(
    fc.property(fc.array(step), fc.nat({ max: 6 }), fc.constantFrom(undefined, 'x'), (steps, count, failureDomain) => {
      const list = new WaitingList();
      const there = new Map<string, (typeof steps)[number]>();
      for (const one of steps) {
        if (one.leaves) list.leave(request(one.name));
        else list.wait(one.topic, waiter(one.name, one.second, one.failureDomain));
        if (one.leaves) there.delete(one.name);
        else there.set(one.name, one);
      }
      const expected = [...there.values()]
        .filter(({ topic, failureDomain: of }) => topic === POOL && (of === undefined || of === failureDomain))
        .toSorted((a, b) => a.second - b.second || (a.name < b.name ? -1 : 1))
        .map(({ name }) => name);
      expect(namesOf(list.next(POOL, count, { failureDomain }))).toEqual(expected.slice(0, count));
      expect(list.has(POOL)).toBe([...there.values()].some(({ topic }) => topic === POOL));
    }),
  );
});
