import type { Cluster } from '../../../apis/cluster/types.ts';
import { ANNOTATION, ENTRY_FINALIZER } from '../../../apis/infrastructure/group.ts';
import { ObjectStore } from '../../framework/cache.ts';
import { MemoryLogger } from '../../framework/testing/log.ts';
import { entry, machine, machineCache } from '../../pool/testing/objects.ts';
import { dueOf } from './due.ts';
import { replace } from '../../framework/testing/store.ts';

const cluster = (name: string, paused = false): Cluster => ({
  apiVersion: 'cluster.x-k8s.io/v1beta2',
  kind: 'Cluster',
  metadata: { namespace: 'default', name, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { paused },
});
function clusterCache(clusters: Cluster[]): ObjectStore<Cluster> {
  const store = new ObjectStore<Cluster>({ log: new MemoryLogger() });
  replace(store, clusters, '1');
  return store;
}

type Given = Parameters<typeof entry>[1];
const ref = { name: 'm', namespace: 'default', uid: 'u', clusterName: 'c' };
const heldBy = (machineRef: object, more: Given = {}): Given => ({ status: { reserved: true, machineRef }, ...more });
const annotated = (annotations: Record<string, string>, more: Given = {}): Given => ({ ...more, metadata: { annotations } });
const dirty = { status: { reserved: false, conditions: [{ type: 'Clean', status: 'False', reason: 'HostInUse', message: '' }] } };
const unsettled = { metadata: { finalizers: [ENTRY_FINALIZER] } };
const C = [cluster('c')];

/** What is due, in short: `clean <id>`, `hold <reason>: <why>`. */
function due(given: Given, clusters: Cluster[], machines: Parameters<typeof machineCache>[0] = []): string {
  const found = dueOf(entry('e', given), machineCache(machines), clusterCache(clusters));
  if (found === undefined) return 'nothing';
  return found.kind === 'clean' ? `clean ${found.id}${found.isAdopted ? ' (adopted)' : ''}` : `hold ${found.reason}: ${found.message}`;
}

test.each<[string, Given, Cluster[], Parameters<typeof machineCache>[0], string | RegExp]>([
  ['a free entry', {}, C, [], 'nothing'],
  ['a machine has it', heldBy(ref), C, [machine('m', { metadata: { uid: 'u', annotations: { [ANNOTATION.poolEntry]: 'e' } } })], 'nothing'],
  ["k0smotron's machine has it, which names no entry", heldBy(ref), C, [machine('m', { metadata: { uid: 'u' } })], 'nothing'],
  [
    'its machine went on to another entry',
    heldBy(ref),
    C,
    [machine('m', { metadata: { uid: 'u', annotations: { [ANNOTATION.poolEntry]: 'other' } } })],
    'clean machine u',
  ],
  ['another machine has the name by now', heldBy(ref), C, [machine('m', { metadata: { uid: 'new' } })], 'clean machine u'],
  ['its machine is gone', heldBy(ref), C, [], 'clean machine u'],
  ['its machine is gone while its Cluster is paused', heldBy(ref), [cluster('c', true)], [], /^hold MachineAbsent: .* Cluster c is paused/],
  [
    'its machine is gone while another Cluster is paused',
    heldBy(ref),
    [...C, cluster('d', true)],
    [],
    /^hold MachineAbsent: .* Cluster d is paused/,
  ],
  ['its machine and its Cluster are gone', heldBy(ref), [], [], /^hold MachineAbsent: .* its Cluster c is gone/],
  [
    'its machine and its Cluster are gone, others are there',
    heldBy(ref),
    [cluster('d')],
    [],
    /^hold MachineAbsent: .* its Cluster c is gone/,
  ],
  [
    'its machine of unknown Cluster is gone, and there is none',
    heldBy({ ...ref, clusterName: undefined }),
    [],
    [],
    /^hold MachineAbsent: .* no Cluster/,
  ],
  ['it is moved away', annotated({ 'clusterctl.cluster.x-k8s.io/delete-for-move': '' }, heldBy(ref)), C, [], 'nothing'],
  ['in quarantine', annotated({ [ANNOTATION.quarantined]: 'r-1' }, heldBy(ref)), [], [], 'clean r-1'],
  ['in quarantine, of another operator', annotated({ [ANNOTATION.quarantined]: 'adopted/r-1' }, heldBy(ref)), C, [], 'clean r-1 (adopted)'],
  ["k0smotron's machine is gone", heldBy({ name: 'm', namespace: 'default' }), C, [], 'clean machine m (adopted)'],
  ['somebody else has the host', dirty, C, [], 'clean foreign'],
  [
    'it lost its status, and its machines may be to come',
    unsettled,
    [cluster('c', true)],
    [],
    /^hold ReservationUnknown: .* Cluster c is paused/,
  ],
  ['it lost its status, and there is nothing else yet', unsettled, [], [], /^hold ReservationUnknown: .* no Cluster/],
  ['it lost its status, and nobody names it', unsettled, C, [], 'clean foreign'],
  [
    'it lost its status, and its machine is there',
    unsettled,
    C,
    [machine('m', { metadata: { annotations: { [ANNOTATION.poolEntry]: 'e' } } })],
    'nothing',
  ],
])('%s', (_name, given, clusters, machines, expected) => {
  const found = due(given, clusters, machines);
  if (typeof expected === 'string') expect(found).toBe(expected);
  else expect(found).toMatch(expected);
});

test.each([
  ['its UID', { uid: 'u', name: 'x', namespace: 'x' }, true],
  ['nothing but its UID: another management cluster may have its name', { uid: 'x', name: 'm', namespace: 'default' }, false],
])('the claim of an absent machine is known by %s', (_name, claimant, expected) => {
  const found = dueOf(entry('e', heldBy(ref)), machineCache(), clusterCache(C));
  expect(found?.kind === 'clean' && found.isOurs({ runID: 'r', machine: claimant })).toBe(expected);
});

test.each([
  ['the run that was given up', { [ANNOTATION.abandonedRun]: 'r' }, true],
  ['the machine that was given up', { [ANNOTATION.abandonedRun]: 'u' }, true],
  ['somebody else', {}, false],
])('in quarantine, the claim of %s', (_name, annotations, expected) => {
  const found = dueOf(entry('e', { ...dirty, metadata: { annotations } }), machineCache(), clusterCache(C));
  expect(found?.kind === 'clean' && found.isOurs({ runID: 'r', machine: { uid: 'u', name: 'm', namespace: 'default' } })).toBe(expected);
});
