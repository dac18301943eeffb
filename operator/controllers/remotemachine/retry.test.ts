import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { hostKeyFromBuffer } from '../../ssh/host-keys.ts';
import { SSHError } from '../../ssh/types.ts';
import { Attempts } from '../hosts/attempts.ts';
import { PUBLIC_KEYS } from '../testing/executor.ts';
import { ADDRESS, owner, reserved, RUN, secrets } from '../testing/objects.ts';
import { StoppedClock } from '../testing/clock.ts';
import { World } from '../testing/world.ts';
import { HostCleaning } from './cleaning.ts';
import { Retry } from './retry.ts';
import type { MachineScope } from './scope.ts';

const hostKey = hostKeyFromBuffer(Buffer.from(PUBLIC_KEYS[0].split(' ')[1] ?? '', 'base64'));
const FAILED = {
  bootstrap: { phase: 'Failed', runID: RUN },
  failureReason: 'BootstrapFailed',
  failureMessage: 'no',
  conditions: ['Ready', 'BootstrapExecSucceeded'].map((type) => ({
    type,
    status: 'False',
    reason: 'BootstrapFailed',
    message: 'no',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  })),
};

let clock: StoppedClock;
let world: World;
let retry: Retry;
beforeEach(async () => {
  clock = new StoppedClock();
  world = await World.start();
  retry = new Retry(world.deps, new HostCleaning(world.deps, new Attempts(20, 100)));
});
afterEach(async () => {
  clock[Symbol.dispose]();
  await world.stop();
});

async function create(request: string | undefined, status: object = FAILED): Promise<void> {
  const annotations = { ...(request !== undefined && { [REQUEST.retry]: request }) };
  await world.create(...secrets(), owner(), reserved({ address: ADDRESS }, { annotations, status }));
}
async function run(scope = world.scope()) {
  const result = await retry.run(scope);
  await world.synced();
  return { scope, result };
}
const told = (scope: MachineScope) => {
  const [own, ready] = [scope.condition('BootstrapExecSucceeded'), scope.condition('Ready')];
  expect({ ...ready, type: '', lastTransitionTime: '' }).toEqual({ ...own, type: '', lastTransitionTime: '' });
  return own;
};
const call = async (index: number) => {
  await world.until(() => world.executor.reclaims.length > index);
  return world.executor.reclaims[index] as (typeof world.executor.reclaims)[number];
};

test('without a request nothing is done', async () => {
  await create(undefined);
  expect((await run()).result).toBeUndefined();
  expect(world.executor.calls).toBe(0);
});

test.each<[string, string, object, RegExp]>([
  ['another run', 'other', FAILED, /the run that failed is m-1/],
  ['a run that goes on', RUN, { bootstrap: { phase: 'Running', runID: RUN } }, /no run of this machine has failed/],
  ['a run that succeeded', RUN, { bootstrap: { phase: 'Succeeded', runID: RUN } }, /no run of this machine has failed/],
  ['a run that the status does not tell of', RUN, {}, /no run of this machine has failed/],
  ['the run before the last', 'm-0', { bootstrap: { phase: 'Failed', runID: 'm-0' } }, /the run that failed is m-0/],
])('%s is refused: one Warning, and nothing else', async (_name, request, status, note) => {
  await create(request, status);
  const before = world.stored();
  for (let i = 0; i < 3; i++) {
    const { scope, result } = await run();
    expect(result).toBeUndefined();
    expect(scope.status).toEqual(before.status ?? {});
  }
  expect(world.events.all).toEqual([
    { type: 'Warning', reason: 'RetryRefused', kind: 'RemoteMachine', name: 'm', note: expect.stringMatching(note) as string },
  ]);
  expect(world.stored()).toEqual(before);
  expect(world.executor.calls).toBe(0);
  await world.patch(REMOTE_MACHINES, 'm', { metadata: { annotations: { [REQUEST.retry]: 'yet another' } } });
  await run();
  expect(world.events.all).toHaveLength(2);
});

test('the host is cleaned of that run, then a new one starts by one guarded write', async () => {
  await create(RUN);
  const first = await run();
  expect(first.result).toEqual({});
  expect(told(first.scope)).toMatchObject({ status: 'Unknown', reason: 'Retrying' });
  const { access, isOurs, work, end } = await call(0);
  expect(access.target.address).toBe(ADDRESS);
  const holder = { runID: RUN, machine: { namespace: 'ns', name: 'm', uid: 'u' } };
  expect([isOurs(holder), isOurs({ ...holder, runID: 'x' })]).toEqual([true, false]);
  work.report({ command: 'cleanUpCommands[0]' });
  expect(told((await run()).scope)?.message).toContain('cleanUpCommands[0] runs');
  end({ outcome: 'Clean', ran: true, hostKey });
  await world.ended(world.scope());

  const before = world.server.requests.length;
  const last = await run();
  expect(last.result).toBeUndefined();
  const written = world.server.requests.slice(before).filter(({ method }) => method === 'PATCH');
  expect(written).toHaveLength(1);
  expect(written[0]?.body).toMatchObject({ metadata: { resourceVersion: first.scope.machine.metadata.resourceVersion } });
  const { annotations } = world.stored().metadata;
  expect(annotations?.[ANNOTATION.runID]).toMatch(/^m-[0-9a-f]{16}$/);
  expect(annotations).toMatchObject({ [ANNOTATION.hostKey]: hostKey.publicKey });
  expect(annotations).not.toHaveProperty([REQUEST.retry]);
  for (const field of ['bootstrap', 'failureReason', 'failureMessage']) expect(last.scope.status).not.toHaveProperty(field);
  expect(told(last.scope)).toMatchObject({ status: 'Unknown', reason: 'Retrying' });
  expect(world.events.all).toContainEqual(
    expect.objectContaining({ type: 'Normal', reason: 'Retrying', note: expect.stringContaining(RUN) as string }),
  );
  expect(world.tasks.peek(last.scope.task)).toBeUndefined();
  expect((await run()).result).toBeUndefined();
  expect(world.executor.calls).toBe(1);
});

test('a host that cannot be cleaned is told and tried again; the failed run stays told', async () => {
  await create(RUN);
  await run();
  (await call(0)).end({
    outcome: 'Failed',
    command: 'cleanUpCommands[0]',
    message: 'failed with exit code 1',
    outputTail: 'why\n',
    hostKey,
  });
  await world.ended(world.scope());
  const failed = await run();
  expect(failed.result?.requeueAfter).toBeGreaterThanOrEqual(20);
  expect(told(failed.scope)).toMatchObject({ status: 'Unknown', reason: 'CleanupFailed' });
  expect(told(failed.scope)?.message).toMatch(/tried again: cleanUpCommands\[0\]: failed with exit code 1\. Last output:\nwhy$/);
  expect(failed.scope.status).toMatchObject({ failureReason: 'BootstrapFailed', bootstrap: { runID: RUN } });
  expect(told((await run()).scope)).toMatchObject({ reason: 'CleanupFailed' });
  expect(world.executor.calls).toBe(1);
  clock.pass(failed.result?.requeueAfter);
  expect(told((await run()).scope)).toEqual(told(failed.scope));
  (await call(1)).fail(new SSHError('ConnectTimeout', `${ADDRESS}:22`, 'no answer'));
  await world.ended(world.scope());
  expect(told((await run()).scope)).toMatchObject({ status: 'Unknown', reason: 'ConnectTimeout' });
  expect(world.stored().metadata.annotations).toMatchObject({ [ANNOTATION.runID]: RUN, [REQUEST.retry]: RUN });
});

test('a write that somebody came before is done again, without another cleanup', async () => {
  await create(RUN);
  await run();
  (await call(0)).end({ outcome: 'Clean', ran: true, hostKey });
  await world.ended(world.scope());
  world.server.fail({ method: 'PATCH', path: /remotemachines/, status: 409, reason: 'Conflict' });
  await expect(run()).rejects.toMatchObject({ status: 409 });
  expect(world.stored().metadata.annotations).toMatchObject({ [ANNOTATION.runID]: RUN });
  expect((await run()).result).toBeUndefined();
  expect(world.stored().metadata.annotations?.[ANNOTATION.runID]).not.toBe(RUN);
  expect(world.executor.calls).toBe(1);
});
