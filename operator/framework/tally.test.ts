import { Gauge, Registry } from 'prom-client';
import { ObjectStore } from './cache.ts';
import { countBy, countByState } from './tally.ts';
import { MemoryLogger } from './testing/log.ts';
import { widget, type Widget } from './testing/resources.ts';
import { replace } from './testing/store.ts';

const at = (name: string, version: number, color: string): Widget => {
  const object = widget(name, { color });
  return { ...object, metadata: { ...object.metadata, uid: `uid of ${name}`, resourceVersion: String(version) } };
};

const setUp = () => {
  const registers = [new Registry()];
  const store = new ObjectStore<Widget>({ log: new MemoryLogger(), freeze: true });
  const labelNames = ['place', 'color'];
  const states = new Gauge({ name: 'states', help: 'h', labelNames, registers });
  const plain = new Gauge({ name: 'plain', help: 'h', labelNames, registers });
  // Widgets of one letter are in one place; those without a color count nowhere.
  const of = ({ metadata, spec }: Widget) => (spec?.color ? { place: metadata.name.charAt(0), color: spec.color } : undefined);
  store.onChange(countByState(states, { label: 'color', states: ['red', 'green'] }, of));
  store.onChange(countBy(plain, of));
  const valuesOf = async (gauge: Gauge) => {
    const { values } = await gauge.get();
    return values.map(({ labels, value }) => `${labels['place']} ${labels['color']} ${value}`).sort();
  };
  return { store, states: () => valuesOf(states), plain: () => valuesOf(plain) };
};

test('counts follow what comes, changes and goes', async () => {
  const { store, states, plain } = setUp();
  replace(store, [at('a1', 1, 'red'), at('a2', 2, 'red'), at('b1', 3, 'green')], '3');
  expect(await states()).toEqual(['a green 0', 'a red 2', 'b green 1', 'b red 0']);
  expect(await plain()).toEqual(['a red 2', 'b green 1']);
  store.put(at('a1', 4, 'green'));
  store.put(at('a1', 5, 'green'));
  expect(await states()).toEqual(['a green 1', 'a red 1', 'b green 1', 'b red 0']);
  store.remove(at('b1', 6, 'green'));
  expect(await states()).toEqual(['a green 1', 'a red 1']);
  expect(await plain()).toEqual(['a green 1', 'a red 1']);
  replace(store, [], '9');
  expect(await states()).toEqual([]);
  expect(await plain()).toEqual([]);
});

test('what counts no more is taken off, and comes back', async () => {
  const { store, states } = setUp();
  replace(store, [at('a1', 1, 'red')], '1');
  store.put(at('a1', 2, ''));
  expect(await states()).toEqual([]);
  store.put(at('a1', 3, 'green'));
  expect(await states()).toEqual(['a green 1', 'a red 0']);
});

test('a state that nobody named is counted as well, and goes with the last object', async () => {
  const { store, states } = setUp();
  replace(store, [at('a1', 1, 'blue')], '1');
  expect(await states()).toEqual(['a blue 1', 'a green 0', 'a red 0']);
  replace(store, [], '2');
  expect(await states()).toEqual([]);
});

test('an object that was made anew under its name counts once', async () => {
  const { store, plain } = setUp();
  replace(store, [at('a1', 1, 'red')], '1');
  const anew = at('a1', 2, 'green');
  store.put({ ...anew, metadata: { ...anew.metadata, uid: 'another' } });
  expect(await plain()).toEqual(['a green 1']);
});
