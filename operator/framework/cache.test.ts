import fc from 'fast-check';
import { ObjectStore, isNewer } from './cache.ts';
import { MemoryLogger } from './testing/log.ts';
import { widget, type Widget } from './testing/resources.ts';
import { replace } from './testing/store.ts';

const at = (name: string, version: number, color = 'red', uid = `uid of ${name}`): Widget => {
  const object = widget(name, { color });
  return { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(version) } };
};

const setUp = () => {
  const log = new MemoryLogger();
  const store = new ObjectStore<Widget>({ log, freeze: true, indexers: { color: ({ spec }) => (spec?.color ? [spec.color] : []) } });
  const changes: string[] = [];
  store.onChange(({ type, object, old }) => {
    const from = old === undefined ? '' : ` (${old.metadata.resourceVersion})`;
    changes.push(`${type} ${object.metadata.name} ${object.metadata.resourceVersion}${from}`);
  });
  return { log, store, changes };
};

test('a list brings objects and takes away what is not in it', () => {
  const { store, changes } = setUp();
  replace(store, [at('a', 1), at('b', 2)], '5');
  replace(store, [at('b', 2), at('c', 7)], '9');
  expect(changes).toEqual(['added a 1', 'added b 2', 'added c 7', 'deleted a 1 (1)']);
  expect(store.list().map((object) => object.metadata.name)).toEqual(['b', 'c']);
  expect(store.get('default', 'b')).toEqual(at('b', 2));
  expect([store.get('', 'b'), store.get('default', 'a'), store.list('other')]).toEqual([undefined, undefined, []]);
});

test('a handler hears of what is there already', () => {
  const { store } = setUp();
  replace(store, [at('a', 1)], '1');
  const changes: string[] = [];
  store.onChange(({ type, object }) => changes.push(`${type} ${object.metadata.name}`));
  expect(changes).toEqual(['added a']);
});

test('indexes follow changes and deletes, in order of key', () => {
  const { store } = setUp();
  replace(store, [at('b', 1), at('a', 2), at('c', 3, 'blue')], '5');
  const names = (color: string) => store.byIndex('color', color).map((object) => object.metadata.name);
  expect([names('red'), names('blue'), names('green')]).toEqual([['a', 'b'], ['c'], []]);
  store.put(at('a', 6, 'blue'));
  expect([names('red'), names('blue')]).toEqual([['b'], ['a', 'c']]);
  store.remove(at('c', 7, 'blue'));
  expect(names('blue')).toEqual(['a']);
  expect(() => store.byIndex('size', '1')).toThrow('there is no index size');
});

test('managedFields are not kept', () => {
  const { store } = setUp();
  const object = at('a', 1);
  Object.assign(object.metadata, {
    managedFields: [{ manager: 'x' }],
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
  });
  store.put(object);
  expect(store.get('default', 'a')?.metadata).not.toHaveProperty('managedFields');
  expect(store.get('default', 'a')?.metadata.annotations).toHaveProperty(['kubectl.kubernetes.io/last-applied-configuration']);
});

test('an object made anew under its name is a delete and an add', () => {
  const { store, changes } = setUp();
  replace(store, [at('a', 1)], '1');
  store.put(at('a', 5, 'red', 'other uid'));
  expect(changes).toEqual(['added a 1', 'deleted a 1 (1)', 'added a 5']);
});

describe('absorb', () => {
  test('takes a newer state at once; the watch then brings nothing new', () => {
    const { store, changes } = setUp();
    replace(store, [at('a', 1)], '5');
    store.absorb(at('a', 8, 'blue'));
    store.put(at('a', 7, 'green'));
    store.put(at('a', 8, 'blue'));
    store.put(at('a', 9, 'black'));
    expect(changes).toEqual(['added a 1', 'updated a 8 (1)', 'updated a 9 (8)']);
  });

  test('ignores what is older than the cache, and everything before the first list', () => {
    const { store, changes } = setUp();
    store.absorb(at('b', 3));
    replace(store, [at('a', 4)], '5');
    store.absorb(at('a', 4, 'blue'));
    store.absorb(at('a', 3, 'blue'));
    expect(changes).toEqual(['added a 4']);
  });

  test('does not bring back what was deleted, however the delete was learnt', () => {
    const { store, changes } = setUp();
    replace(store, [at('a', 1), at('b', 2), at('c', 3)], '5');
    store.remove(at('a', 10));
    store.absorb(at('a', 8));
    replace(store, [at('c', 3)], '20');
    store.absorb(at('b', 15));
    store.saw('30');
    store.absorb(at('d', 25));
    expect(changes).toEqual(['added a 1', 'added b 2', 'added c 3', 'deleted a 10 (1)', 'deleted b 2 (2)']);
  });

  test('what a write brought after a list was made outlives that list', () => {
    const { store, changes } = setUp();
    replace(store, [at('a', 1)], '5');
    store.absorb(at('a', 12, 'blue'));
    store.absorb(at('new', 13));
    replace(store, [at('a', 1)], '11');
    expect(changes).toEqual(['added a 1', 'updated a 12 (1)', 'added new 13']);
    replace(store, [at('a', 12, 'blue')], '14');
    expect(changes.slice(3)).toEqual(['deleted new 13 (13)']);
  });

  test('a delete that is older than the object made anew is not that object’s', () => {
    const { store, changes } = setUp();
    replace(store, [at('a', 1)], '5');
    store.absorb(at('a', 9, 'red', 'other uid'));
    store.remove(at('a', 8));
    expect(store.get('default', 'a')?.metadata.uid).toBe('other uid');
    expect(changes).toEqual(['added a 1', 'deleted a 1 (1)', 'added a 9']);
  });

  test('the last state of an object goes when its delete comes with the same version', () => {
    const { store } = setUp();
    replace(store, [at('a', 1)], '5');
    store.absorb(at('a', 9));
    store.remove(at('a', 9));
    expect(store.list()).toEqual([]);
  });
});

test('a handler or an index function that throws is logged, and the others go on', () => {
  const log = new MemoryLogger();
  const index = (): never => {
    throw new Error('index');
  };
  const store = new ObjectStore<Widget>({ log, indexers: { bad: index, good: () => ['x'] } });
  store.onChange(() => {
    throw new Error('handler');
  });
  const seen: string[] = [];
  store.onChange(({ object }) => seen.push(object.metadata.name));
  store.put(at('a', 1));
  expect(seen).toEqual(['a']);
  expect(store.byIndex('good', 'x')).toHaveLength(1);
  expect(log.at('error')).toEqual(['an index function failed', 'a handler of changes failed']);
});

test.each([
  ['10', '9', true],
  ['9', '10', false],
  ['9', '9', false],
  ['18446744073709551616', '18446744073709551615', true],
  ['', '1', false],
  ['abc', '1', false],
])('isNewer(%j, %j) is %j', (a, b, expected) => expect(isNewer(a, b)).toBe(expected));

test('whatever our writes and the watch interleave, the cache ends where the server is and never goes back', () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b'),
    how: fc.constantFrom('write', 'foreign write', 'delete'),
    /** How many events the watch delivers after it, and whether our write's answer comes before them. */
    deliver: fc.nat(3),
    late: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { store } = setUp();
      replace(store, [], '0');
      const server = new Map<string, Widget>();
      const events: (() => void)[] = [];
      const shown = new Map<string, number>();
      store.onChange(({ type, object, old }) => {
        const version = Number(object.metadata.resourceVersion);
        if (type === 'updated') expect(version).toBeGreaterThan(Number(old?.metadata.resourceVersion));
        expect(version).toBeGreaterThanOrEqual(shown.get(object.metadata.name) ?? 0);
        shown.set(object.metadata.name, version);
      });
      let version = 0;
      const deliver = (count: number) => events.splice(0, count).forEach((event) => event());
      for (const { name, how, deliver: count, late } of steps) {
        version++;
        const uid = server.get(name)?.metadata.uid ?? `${name} ${version}`;
        const object = at(name, version, 'red', uid);
        if (how === 'delete') {
          if (server.delete(name)) events.push(() => store.remove(object));
        } else {
          server.set(name, object);
          events.push(() => store.put(object));
        }
        if (late) deliver(count);
        if (how === 'write') store.absorb(structuredClone(object));
        if (!late) deliver(count);
      }
      deliver(events.length);
      const sorted = (objects: Iterable<Widget>) => [...objects].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      expect(sorted(store.list())).toEqual(sorted(server.values()));
    }),
    { numRuns: 500 },
  );
});
