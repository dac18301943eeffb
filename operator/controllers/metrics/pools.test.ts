import { Registry } from 'prom-client';
import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import { entryCache, host } from '../../pool/testing/objects.ts';
import { poolMetrics, stateOf } from './pools.ts';

const condition = (type: string, status: string, reason = 'Some') => ({ type, status, reason, message: '', lastTransitionTime: '' });
const told = (...conditions: object[]) => ({ status: { reserved: false, conditions } });

test.each([
  ['free', {}],
  ['free', told(condition('Clean', 'True'), condition('Reachable', 'Unknown'))],
  ['unreachable', told(condition('Reachable', 'False'))],
  ['reserved', { status: { reserved: true } }],
  ['reserved', { status: { reserved: true, conditions: [condition('Clean', 'False')] } }],
  ['reserved', { status: { reserved: true }, metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } }],
  ['quarantined', told(condition('Clean', 'False'))],
  ['quarantined', { status: { reserved: true }, metadata: { annotations: { [ANNOTATION.quarantined]: 'run' } } }],
  ['unavailable', { metadata: { annotations: { 'cluster.x-k8s.io/paused': '' } } }],
  ['unavailable', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }],
  ['unavailable', told(condition('Ready', 'False', 'DuplicateHost'))],
])('is %s: %j', (state, given) => expect(stateOf(host('a', given))).toBe(state));

test('entries are counted by pool and namespace, those of another watch filter not at all', async () => {
  const registry = new Registry();
  const labels = { 'cluster.x-k8s.io/watch-filter': 'ours' };
  const entries = entryCache([
    host('a', { metadata: { labels } }),
    host('b', { metadata: { labels }, status: { reserved: true } }),
    host('c', { metadata: { labels, namespace: 'other' }, spec: { pool: 'q' } }),
    host('d'),
  ]);
  entries.onChange(poolMetrics(registry, 'ours'));
  const lines = (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#') && !line.endsWith(' 0'));
  expect(lines.filter(Boolean)).toEqual([
    'capremote_pool_entries{namespace="default",pool="p",state="free"} 1',
    'capremote_pool_entries{namespace="default",pool="p",state="reserved"} 1',
    'capremote_pool_entries{namespace="other",pool="q",state="free"} 1',
  ]);
});
