import fc from 'fast-check';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { ANNOTATION } from '../../apis/infrastructure/group.ts';
import { choose, duplicateOf, machineOn, servedBefore, type View, type Wanted, wantedIdentity } from './choose.ts';
import { entry, entryCache, machine, machineCache } from './testing/objects.ts';

const self = machine('self');
/** An entry with a host of its own. */
const own = (name: string, rest: Parameters<typeof entry>[1] = {}): PooledRemoteMachine =>
  entry(name, { ...rest, spec: { machine: { address: `host-${name}` }, ...rest.spec } });
const bound = (name: string, entryName: string): RemoteMachine =>
  machine(name, { metadata: { annotations: { [ANNOTATION.poolEntry]: entryName } } });

interface Setting {
  entries: PooledRemoteMachine[];
  machines?: RemoteMachine[];
  assumed?: Record<string, string>;
  unreachable?: Record<string, number>;
}
const view = ({ entries, machines = [], assumed = {}, unreachable = {} }: Setting): View => ({
  entries: entryCache(entries),
  machines: machineCache([self, ...machines]),
  assumed: (key) => assumed[key],
  unreachableSince: ({ metadata }) => unreachable[metadata.name] ?? 0,
});
const pick = (setting: Setting, wanted: Partial<Wanted> = {}) => {
  const choice = choose({ namespace: 'default', pool: 'p', ...wanted }, self, view(setting));
  return choice.entry === undefined ? choice : choice.entry.metadata.name;
};
const reserved = { status: { reserved: true, machineRef: { name: 'x', namespace: 'default', uid: 'uid of x' } } };

describe('the entry that is chosen', () => {
  test.each<[string, Setting, Partial<Wanted>, string]>([
    ['is the first by name', { entries: [own('c'), own('a'), own('b')] }, {}, 'a'],
    ['sorts by code unit, as kubectl lists', { entries: [own('e-10'), own('e-2')] }, {}, 'e-10'],
    ['is of the pool', { entries: [own('a', { spec: { pool: 'other' } }), own('b')] }, {}, 'b'],
    ['is of the namespace', { entries: [own('a', { metadata: { namespace: 'other' } }), own('b')] }, {}, 'b'],
    ['is of the failure domain', { entries: [own('a'), own('b', { spec: { failureDomain: 'z' } })] }, { failureDomain: 'z' }, 'b'],
    ['may be of any failure domain where none is asked for', { entries: [own('a', { spec: { failureDomain: 'z' } })] }, {}, 'a'],
    ['has the address that is asked for', { entries: [own('a'), own('b')] }, { identity: 'host-b:22' }, 'b'],
    ['is not reserved', { entries: [own('a', reserved), own('b')] }, {}, 'b'],
    ['is not being bound to another', { entries: [own('a'), own('b')], assumed: { 'default/a': 'uid of other' } }, {}, 'b'],
    [
      'may be in the course of being bound to the machine itself',
      { entries: [own('a')], assumed: { 'default/a': 'uid of self' } },
      {},
      'a',
    ],
    ['is not named by another machine', { entries: [own('a'), own('b')], machines: [bound('m', 'a')] }, {}, 'b'],
    [
      'is no host that another machine names by its address',
      { entries: [own('a'), own('b')], machines: [machine('m', { spec: { address: 'HOST-A' } })] },
      {},
      'b',
    ],
    [
      'may be a host that another machine asks a pool for',
      { entries: [own('a'), own('b')], machines: [machine('m', { spec: { pool: 'p', address: 'host-a' } })] },
      {},
      'a',
    ],
    ['is not one that is unreachable while another is free', { entries: [own('a'), own('b')], unreachable: { a: 5 } }, {}, 'b'],
    [
      'is of unreachable ones the one that failed longest ago',
      { entries: [own('a'), own('b'), own('c')], unreachable: { a: 9, b: 3, c: 5 } },
      {},
      'b',
    ],
    ['is not paused', { entries: [own('a', { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } }), own('b')] }, {}, 'b'],
    [
      'is the older of two with one host',
      { entries: [entry('a', { metadata: { creationTimestamp: '2026-01-02T00:00:00Z' } }), entry('b')] },
      {},
      'b',
    ],
  ])('%s', (_, setting, wanted, expected) => expect(pick(setting, wanted)).toBe(expected));
});

describe('what is said where there is none', () => {
  test.each<[string, Setting, Partial<Wanted>, object]>([
    [
      'an empty pool',
      { entries: [own('a', { spec: { pool: 'other' } })] },
      {},
      { reason: 'NoSuchPool', message: 'No PooledRemoteMachine belongs to pool "p" of namespace default; waiting for one' },
    ],
    [
      'an address that no entry has',
      { entries: [own('a')] },
      { identity: '[::1]:22' },
      {
        reason: 'AddressNotInPool',
        message: 'spec.address is [::1]:22, and no PooledRemoteMachine of pool "p" of namespace default has it',
      },
    ],
    [
      'an address whose entry is in use',
      { entries: [own('a', reserved), own('b')] },
      { identity: 'host-a:22' },
      {
        reason: 'WaitingForHost',
        message: 'Waiting for a free host of pool "p" of namespace default: 2 in it, 1 reserved, 1 with another address',
      },
    ],
    [
      'one obstacle of each kind',
      {
        entries: [
          own('a', reserved),
          own('b', { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } }),
          own('c', { metadata: { annotations: { [ANNOTATION.quarantined]: 'run' } } }),
          own('d', { metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } }),
          own('e'),
          own('f', { spec: { machine: { address: 'host-e' } } }),
        ],
        machines: [bound('m', 'e')],
      },
      {},
      {
        reason: 'WaitingForHost',
        message:
          'Waiting for a free host of pool "p" of namespace default: 6 in it, 1 reserved, 1 paused, 1 quarantined, 1 deleting, 1 taken, 1 duplicate',
      },
    ],
    [
      'another failure domain',
      { entries: [own('a', { spec: { failureDomain: 'y' } }), own('b', { ...reserved, spec: { failureDomain: 'z' } })] },
      { failureDomain: 'z' },
      {
        reason: 'WaitingForHost',
        message:
          'Waiting for a free host in failure domain "z" of pool "p" of namespace default: 2 in it, 1 in another failure domain, 1 reserved',
      },
    ],
  ])('%s', (_, setting, wanted, expected) => expect(pick(setting, wanted)).toEqual({ entry: undefined, ...expected }));
});

describe('of objects with one host', () => {
  const old = entry('old', { metadata: { creationTimestamp: '2026-01-01T00:00:00Z' } });
  const young = entry('a-young', { metadata: { creationTimestamp: '2026-01-02T00:00:00Z' } });
  const inUse = entry('z-in-use', { metadata: { creationTimestamp: '2026-01-03T00:00:00Z' }, ...reserved });

  test('the one in use is served, else the oldest, else the first by name', () => {
    expect([young, old, inUse].sort(servedBefore).map(({ metadata }) => metadata.name)).toEqual(['z-in-use', 'old', 'a-young']);
    expect([entry('b'), entry('a')].sort(servedBefore).map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
  });

  test('the others are duplicates of the one that is served', () => {
    const entries = entryCache([young, old, own('other')]);
    expect([young, old, own('other')].map((each) => duplicateOf(each, entries)?.metadata.name)).toEqual(['old', undefined, undefined]);
  });

  test('one is served whatever they are like', () => {
    const any = fc.record({ created: fc.integer({ min: 1, max: 3 }), reserved: fc.boolean() });
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 5 }), (all) => {
        const entries = all.map(({ created, reserved: used }, i) =>
          entry(`e${i}`, { metadata: { creationTimestamp: `2026-01-0${created}T00:00:00Z` }, status: { reserved: used } }),
        );
        const cache = entryCache(entries);
        expect(entries.filter((each) => duplicateOf(each, cache) === undefined)).toHaveLength(1);
      }),
    );
  });

  test('a machine has an entry by naming it or its host, and never keeps it from itself', () => {
    const machines = machineCache([bound('m', 'a'), machine('explicit', { spec: { address: 'host-b' } })]);
    expect(machineOn(own('a'), machines)?.metadata.name).toBe('m');
    expect(machineOn(own('b'), machines)?.metadata.name).toBe('explicit');
    expect(machineOn(own('a'), machines, bound('m', 'a'))).toBeUndefined();
    expect(machineOn(own('c'), machines)).toBeUndefined();
  });
});

test('a machine asks for a host by its address and port', () => {
  expect(wantedIdentity(machine('m', { spec: { pool: 'p', address: 'h', port: 2222 } }))).toBe('h:2222');
  expect(wantedIdentity(machine('m'))).toBeUndefined();
  const named = (annotations: object) =>
    machine('m', { metadata: { annotations: { [ANNOTATION.poolEntry]: 'a', ...annotations } }, spec: { pool: 'p', address: 'h' } });
  expect(wantedIdentity(named({}))).toBeUndefined();
  expect(wantedIdentity(named({ [ANNOTATION.requestedHost]: 'h:22' }))).toBe('h:22');
});
