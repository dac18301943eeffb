import fc from 'fast-check';
import { inherited } from './metadata.ts';

const own = [
  'kubectl.kubernetes.io/last-applied-configuration',
  'cluster.x-k8s.io/paused',
  'cluster.x-k8s.io/cluster-name',
  'clusterctl.cluster.x-k8s.io/move',
  'topology.cluster.x-k8s.io/dry-run',
  'infrastructure.cluster.x-k8s.io/host-key',
  'infrastructure.cluster.x-k8s.io/quarantined',
  'argocd.argoproj.io/tracking-id',
  'argocd.argoproj.io/sync-wave',
  'app.kubernetes.io/instance',
  'app.kubernetes.io/managed-by',
  'kustomize.toolkit.fluxcd.io/name',
  'helm.toolkit.fluxcd.io/name',
  'meta.helm.sh/release-name',
  'helm.sh/chart',
];

test.each(own)("%s is the entry's own", (key) => {
  const metadata = { labels: { [key]: 'x' }, annotations: { [key]: 'x' } };
  expect(inherited(metadata, {})).toEqual({});
});

test.each([
  'rack',
  'example.com/rack',
  'cluster.x-k8s.io',
  'notcluster.x-k8s.io/x',
  'cluster.x-k8s.io.example.com/x',
  'kubectl.kubernetes.io/other',
  'app.kubernetes.io/name',
  'argoproj.io/x',
])('%s is passed on', (key) =>
  expect(inherited({ labels: { [key]: 'x' }, annotations: { [key]: 'y' } }, {})).toEqual({
    labels: { [key]: 'x' },
    annotations: { [key]: 'y' },
  }),
);

test('nothing is passed on over a value that is there, be it empty', () => {
  const entry = { labels: { a: '1', b: '1' }, annotations: { a: '1' } };
  expect(inherited(entry, { labels: { a: '' }, annotations: { a: '2' } })).toEqual({ labels: { b: '1' } });
  expect(inherited({}, { labels: { a: '1' } })).toEqual({});
});

test('what was passed on once is not passed on again, and nothing else changes', () => {
  const map = fc.dictionary(fc.constantFrom('a', 'b', 'example.com/c', ...own), fc.string());
  const metadata = fc.record({ labels: map, annotations: map });
  fc.assert(
    fc.property(metadata, metadata, (entry, machine) => {
      const patch = inherited(entry, machine);
      const after = { labels: { ...machine.labels, ...patch.labels }, annotations: { ...machine.annotations, ...patch.annotations } };
      expect(inherited(entry, after)).toEqual({});
      expect(after).toMatchObject(machine);
      for (const key of own) expect({ ...patch.labels, ...patch.annotations }).not.toHaveProperty([key]);
    }),
  );
});
