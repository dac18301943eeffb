import type { Cluster, Machine } from '../../../apis/cluster/types.ts';
import type { RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { clusterNameOf, isMovedAway, isWatched, ownerMachineName, pausedBy } from './owner.ts';

const machine = (metadata: object): RemoteMachine => ({ metadata: { name: 'm', ...metadata } }) as RemoteMachine;
const owned = (...refs: [apiVersion: string, kind: string, name: string][]) =>
  machine({ ownerReferences: refs.map(([apiVersion, kind, name]) => ({ apiVersion, kind, name, uid: '1' })) });

test.each<[string, RemoteMachine, string | undefined]>([
  ['nobody', machine({}), undefined],
  ['a Machine of v1beta1', owned(['cluster.x-k8s.io/v1beta1', 'Machine', 'a']), 'a'],
  ['a Machine of v1beta2', owned(['cluster.x-k8s.io/v1beta2', 'Machine', 'a']), 'a'],
  [
    'a control plane beside its Machine',
    owned(['controlplane.cluster.x-k8s.io/v1beta1', 'KCP', 'k'], ['cluster.x-k8s.io/v1', 'Machine', 'a']),
    'a',
  ],
  ['a Machine of another group', owned(['machine.openshift.io/v1beta1', 'Machine', 'a']), undefined],
  ['a group that only begins alike', owned(['cluster.x-k8s.io.evil/v1', 'Machine', 'a']), undefined],
  ['another kind', owned(['cluster.x-k8s.io/v1beta2', 'MachineSet', 'a']), undefined],
])('owned by %s', (_name, object, name) => expect(ownerMachineName(object)).toBe(name));

test("the Machine says which Cluster, before that the object's label", () => {
  const labelled = machine({ labels: { 'cluster.x-k8s.io/cluster-name': 'label' } });
  expect(clusterNameOf(labelled, { spec: { clusterName: 'spec' } } as Machine)).toBe('spec');
  expect(clusterNameOf(labelled, undefined)).toBe('label');
  expect(clusterNameOf(machine({}), undefined)).toBeUndefined();
});

test.each<[string, RemoteMachine, Cluster | undefined, string | undefined]>([
  ['nothing', machine({}), undefined, undefined],
  [
    'its annotation, even an empty one',
    machine({ annotations: { 'cluster.x-k8s.io/paused': '' } }),
    undefined,
    'annotation cluster.x-k8s.io/paused is set',
  ],
  ['its Cluster', machine({}), { metadata: { name: 'c' }, spec: { paused: true } } as Cluster, 'Cluster c is paused'],
  ['not a Cluster that runs', machine({}), { metadata: { name: 'c' }, spec: { paused: false } } as Cluster, undefined],
])('paused by %s', (_name, object, cluster, why) => expect(pausedBy(object, cluster)).toBe(why));

test('clusterctl says what is moved away', () => {
  expect(isMovedAway(machine({ annotations: { 'clusterctl.cluster.x-k8s.io/delete-for-move': '' } }))).toBe(true);
  expect(isMovedAway(machine({}))).toBe(false);
});

test('a watch filter leaves out what has another label or none', () => {
  const labels = { 'cluster.x-k8s.io/watch-filter': 'a' };
  expect(isWatched(machine({ labels }).metadata, 'a')).toBe(true);
  expect(isWatched(machine({ labels }).metadata, 'b')).toBe(false);
  expect(isWatched(machine({}).metadata, 'a')).toBe(false);
  expect(isWatched(machine({}).metadata, undefined)).toBe(true);
});
