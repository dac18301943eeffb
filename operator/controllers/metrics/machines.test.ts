import { Registry } from 'prom-client';
import { machine, machineCache } from '../../pool/testing/objects.ts';
import { machineMetrics, phaseOf, RUN_RESULTS } from './machines.ts';
import { replace } from '../../framework/testing/store.ts';

const ready = (status: string, reason = 'Some') => [{ type: 'Ready', status, reason, message: '', lastTransitionTime: '' }];

test.each([
  ['Pending', {}],
  ['Pending', { status: { conditions: ready('Unknown', 'WaitingForHost') } }],
  ['Claimed', { status: { bootstrap: { phase: 'Claimed' } } }],
  ['Running', { status: { bootstrap: { phase: 'Running' } } }],
  ['Ready', { status: { ready: true, bootstrap: { phase: 'Succeeded' } } }],
  ['Failed', { status: { bootstrap: { phase: 'Failed' }, conditions: ready('False') } }],
  ['Failed', { status: { conditions: ready('False', 'BootstrapDataInvalid') } }],
  ['Pending', { status: { bootstrap: { phase: 'Failed' }, conditions: ready('Unknown', 'Retrying') } }],
  ['Deleting', { status: { ready: true }, metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }],
])('%s: %j', (phase, given) => expect(phaseOf(machine('a', given))).toBe(phase));

const setUp = (works = true) => {
  const registry = new Registry();
  const machines = machineCache([]);
  const now = () => new Date('2026-01-01T00:01:30Z');
  for (const handler of machineMetrics(registry, { now, works: () => works })) machines.onChange(handler);
  let version = 1;
  const put = (status: object, name = 'a'): void =>
    machines.put(machine(name, { metadata: { resourceVersion: String(++version) }, status }));
  /** What is not 0, and no bucket. */
  const told = async () =>
    (await registry.metrics()).split('\n').filter((line) => /^[^#].*[^ ]$/.test(line) && !/_bucket|capremote_machines.* | 0$/.test(line));
  return { registry, machines, put, told };
};
const times = { startedAt: '2026-01-01T00:01:00Z', finishedAt: '2026-01-01T00:01:20Z' };
const running = {
  bootstrap: { runID: 'r', phase: 'Running', startedAt: times.startedAt },
  conditions: ready('Unknown', 'BootstrapRunning'),
};
const succeeded = { ready: true, bootstrap: { runID: 'r', phase: 'Succeeded', ...times }, conditions: ready('True') };
const failed = { bootstrap: { runID: 'r', phase: 'Failed', ...times }, failureReason: 'BootstrapTimedOut', conditions: ready('False') };

test('machines are counted by phase, and by the reason why they are not ready', async () => {
  const { registry, put, machines } = setUp();
  put(running);
  put(running, 'b');
  put(failed, 'c');
  put(succeeded, 'b');
  const text = await registry.metrics();
  const lines = text.split('\n').filter((line) => line.startsWith('capremote_machines') && !line.endsWith(' 0'));
  expect(lines).toEqual([
    'capremote_machines{namespace="default",phase="Running"} 1',
    'capremote_machines{namespace="default",phase="Ready"} 1',
    'capremote_machines{namespace="default",phase="Failed"} 1',
    'capremote_machines_not_ready{namespace="default",reason="BootstrapRunning"} 1',
    'capremote_machines_not_ready{namespace="default",reason="Some"} 1',
  ]);
  replace(machines, [], '99');
  expect((await registry.metrics()).match(/^capremote_machines(_not_ready)?\{.*$/gm)).toBeNull();
});

test('a run is counted when it ends, once however often its machine changes after that', async () => {
  const { put, told } = setUp();
  put(running);
  expect(await told()).toEqual([]);
  put(succeeded);
  put({ ...succeeded, host: { hostname: 'a' } });
  expect(await told()).toEqual([
    'capremote_runs_total{result="Succeeded"} 1',
    'capremote_run_duration_seconds_sum 20',
    'capremote_run_duration_seconds_count 1',
    'capremote_machine_ready_seconds_sum 90',
    'capremote_machine_ready_seconds_count 1',
  ]);
});

test('a failed run is counted by its reason, and the next run of the machine by itself', async () => {
  const { put, told } = setUp();
  put(running);
  put(failed);
  put({ ...failed, bootstrap: { ...failed.bootstrap, runID: 'r2' }, failureReason: 'of another kind' });
  expect(await told()).toEqual(['capremote_runs_total{result="BootstrapTimedOut"} 1', 'capremote_runs_total{result="Other"} 1']);
});

test('every result is there from the beginning', async () => {
  const { registry } = setUp();
  const text = await registry.metrics();
  expect([...text.matchAll(/capremote_runs_total\{result="(.*)"\} 0/g)].map(([, result]) => result)).toEqual([...RUN_RESULTS]);
});

test('a machine that is there, or was moved here, is no news', async () => {
  const { machines, put, told } = setUp();
  replace(machines, [machine('a', { metadata: { resourceVersion: '50' }, status: succeeded })], '50');
  machines.put(machine('b', { metadata: { resourceVersion: '51' } }));
  machines.put(machine('b', { metadata: { resourceVersion: '52' }, status: { ready: true } }));
  put(succeeded);
  expect(await told()).toEqual([]);
});

test('what another manager did is its own to count', async () => {
  const { put, told } = setUp(false);
  put(running);
  put(succeeded);
  expect(await told()).toEqual([]);
});
