import fc from 'fast-check';
import { ANNOTATION, MACHINE_FINALIZER } from '../../apis/infrastructure/group.ts';
import { machinePatch, newRunID } from './machine-patch.ts';
import { entry, machine } from './testing/objects.ts';

const RUN = { startRun: true };
const bound = (annotations: object, rest: { labels?: object; finalizers?: string[] } = {}, spec: object = { pool: 'p' }) =>
  machine('m', { metadata: { annotations, finalizers: [MACHINE_FINALIZER], ...rest }, spec });
const a = entry('a', { metadata: { labels: { rack: 'a' } }, spec: { machine: { address: 'host-a', user: 'admin' } } });
const b = entry('b', { metadata: { labels: { rack: 'b' } }, spec: { machine: { address: 'host-b' } } });

test('a machine that has it all needs no write', () => {
  const spec = { pool: 'p', address: 'host-a', user: 'admin' };
  const has = bound({ [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: 'r' }, { labels: { rack: 'mine' } }, spec);
  expect(machinePatch(has, { to: a, ...RUN })).toBeUndefined();
});

test.each<[string, Parameters<typeof machinePatch>, object | undefined]>([
  [
    'its own host: finalizer and run ID',
    [machine('m', { spec: { address: 'h' } }), RUN],
    {
      metadata: {
        resourceVersion: '1',
        finalizers: [MACHINE_FINALIZER],
        annotations: { [ANNOTATION.runID]: expect.any(String) as string },
      },
    },
  ],
  [
    'no run ID before a run, other finalizers stay',
    [machine('m', { metadata: { finalizers: ['x'] }, spec: { address: 'h' } }), { startRun: false }],
    { metadata: { resourceVersion: '1', finalizers: ['x', MACHINE_FINALIZER] } },
  ],
  [
    'the copy of an entry that is gone stays, and so does its name',
    [bound({ [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: 'r' }, {}, { pool: 'p', address: 'host-a' }), RUN],
    undefined,
  ],
  [
    'no finalizer for what is being deleted',
    [machine('m', { metadata: { deletionTimestamp: 'now' }, spec: { address: 'h' } }), { startRun: false }],
    undefined,
  ],
  [
    'a provisioned machine: neither run nor values',
    [bound({}, {}, { pool: 'p', providerID: 'x' }), { to: b, ...RUN }],
    { metadata: { resourceVersion: '1', labels: { rack: 'b' }, annotations: { [ANNOTATION.poolEntry]: 'b' } } },
  ],
  [
    "which host it is says the entry alone: a template's port or bastion is none of it",
    [bound({}, {}, { pool: 'p', port: 2222, bastions: [{ address: 'gate' }], sshKeyRef: { name: 'own' } }), { to: b, startRun: false }],
    {
      metadata: { resourceVersion: '1', labels: { rack: 'b' }, annotations: { [ANNOTATION.poolEntry]: 'b' } },
      spec: { address: 'host-b', port: null, bastions: null },
    },
  ],
  [
    'another entry: what came from the first one goes, a label of its own stays',
    [
      bound(
        { [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: 'r' },
        { labels: { rack: 'a', own: 'a' } },
        { pool: 'p', address: 'host-a', user: 'admin', port: 22 },
      ),
      { to: b, from: { entry: a }, startRun: false },
    ],
    {
      metadata: { resourceVersion: '1', labels: { rack: 'b' }, annotations: { [ANNOTATION.poolEntry]: 'b', [ANNOTATION.runID]: null } },
      spec: { address: 'host-b', user: null, port: null },
    },
  ],
  [
    'no entry any more, and the one before was deleted',
    [
      bound({ [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: 'r' }, {}, { pool: 'p', address: 'host-a' }),
      { from: { entry: undefined }, startRun: false },
    ],
    {
      metadata: { resourceVersion: '1', annotations: { [ANNOTATION.poolEntry]: null, [ANNOTATION.runID]: null } },
      spec: { address: null },
    },
  ],
])('%s', (_, [given, change], patch) => {
  expect(machinePatch(given, change)).toEqual(patch);
});

test('no label of the machine is ever changed by an entry that it gets', () => {
  const labels = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'));
  fc.assert(
    fc.property(labels, labels, (own, given) => {
      const patch = machinePatch(machine('m', { metadata: { labels: own } }), { to: entry('e', { metadata: { labels: given } }), ...RUN });
      const changed = (patch as { metadata: { labels?: object } }).metadata.labels ?? {};
      expect({ ...given, ...own }).toEqual({ ...own, ...changed });
    }),
  );
});

test('run IDs are for people and machines: the name, then chance, in 63 characters that any name may have', () => {
  for (const given of ['web-0', 'A.Long_Name', 'x'.repeat(253), '---']) expect(newRunID(given)).toMatch(/^[a-z0-9-]{1,63}$/);
  expect(newRunID('web-0')).not.toBe(newRunID('web-0'));
});
