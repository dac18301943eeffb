import { ANNOTATION } from '../../apis/infrastructure/group.ts';
import { ENTRY_INDEXES, MACHINE_INDEXES, obstacle } from './indexes.ts';
import { entry, machine } from './testing/objects.ts';

const condition = (type: string, status: string) => ({
  conditions: [{ type, status, reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }],
});
const annotated = (annotations: object) => ({ metadata: { annotations } });

test.each<[string, Parameters<typeof entry>[1], ReturnType<typeof obstacle>]>([
  ['nothing', {}, undefined],
  ['a deletion', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }, 'deleting'],
  ['a pause, whatever the value', annotated({ 'cluster.x-k8s.io/paused': 'false' }), 'paused'],
  ['a quarantine', annotated({ [ANNOTATION.quarantined]: 'run' }), 'quarantined'],
  ['a reservation', { status: { reserved: true } }, 'reserved'],
  ['a host that is not clean', { status: condition('Clean', 'False') }, 'quarantined'],
  ['a host of which that is not known', { status: condition('Clean', 'Unknown') }, undefined],
  ['a host out of reach, which is only passed over', { status: condition('Reachable', 'False') }, undefined],
])('an entry is kept back by %s', (_, given, expected) => {
  const one = entry('e', given);
  expect(obstacle(one)).toBe(expected);
  expect(ENTRY_INDEXES.free(one)).toEqual(expected === undefined ? ['default/p'] : []);
  expect(ENTRY_INDEXES.pool(one)).toEqual(['default/p']);
});

test('an entry without a spec is in no index', () => {
  const bare = entry('e');
  delete bare.spec;
  for (const index of Object.values(ENTRY_INDEXES)) expect(index(bare)).toEqual([]);
});

test.each([
  ['its UID', { reserved: true, machineRef: { name: 'm', namespace: 'n', uid: 'u' } }, ['u']],
  ["its name where k0smotron's provider wrote no UID", { reserved: true, machineRef: { name: 'm', namespace: 'n' } }, ['n/m']],
  ['nothing while it is free', { reserved: false, machineRef: { name: 'm', namespace: 'n', uid: 'u' } }, []],
])('an entry is found by the machine that has it: %s', (_, status, expected) => {
  expect(ENTRY_INDEXES.holder(entry('e', { status }))).toEqual(expected);
});

test.each<[string, Parameters<typeof machine>[1], string[]]>([
  ['names a host', { spec: { address: 'h' } }, ['h:22']],
  ['asks a pool for any', { spec: { pool: 'p' } }, []],
  ['asks a pool for this one', { spec: { pool: 'p', address: 'h' } }, []],
  ['is bound to an entry', { spec: { pool: 'p', address: 'h' }, ...annotated({ [ANNOTATION.poolEntry]: 'e' }) }, ['h:22']],
  ['has a run', { spec: { pool: 'p', address: 'h' }, ...annotated({ [ANNOTATION.runID]: 'r' }) }, ['h:22']],
  ["was provisioned by k0smotron's provider", { spec: { pool: 'p', address: 'h', providerID: 'remote-machine://h:22' } }, ['h:22']],
])('the host of a machine that %s', (_, given, expected) => expect(MACHINE_INDEXES.identity(machine('m', given))).toEqual(expected));

test('machines are found by entry and by cluster', () => {
  const one = machine('m', {
    metadata: { annotations: { [ANNOTATION.poolEntry]: 'e' }, labels: { 'cluster.x-k8s.io/cluster-name': 'c' } },
  });
  expect([MACHINE_INDEXES.entry(one), MACHINE_INDEXES.cluster(one)]).toEqual([['default/e'], ['default/c']]);
  expect([MACHINE_INDEXES.entry(machine('m')), MACHINE_INDEXES.cluster(machine('m'))]).toEqual([[], []]);
});
