import { Controller } from './controller.ts';
import { createMetrics } from './metrics.ts';
import { WorkQueue } from './queue.ts';
import { MemoryLogger } from './testing/log.ts';
import { ApiError, type ReconcileContext, type Request, type Result } from './types.ts';

const request: Request = { namespace: 'default', name: 'a' };

/** Reconciles with `steps`, one a call; `ended` resolves when the last one was called. */
const setUp = (steps: ((request: Request, context: ReconcileContext) => Promise<Result | void> | Result | void)[], concurrency = 1) => {
  const log = new MemoryLogger();
  const metrics = createMetrics();
  const stop = new AbortController();
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const seen: Request[] = [];
  const reconcile = async (key: Request, context: ReconcileContext): Promise<Result | void> => {
    const step = steps[seen.push(key) - 1];
    if (seen.length === steps.length) resolve();
    return step?.(key, context);
  };
  const queue = new WorkQueue({ backoff: { base: 1, max: 4 } });
  const controller = new Controller({ name: 'test', reconciler: { reconcile }, concurrency, log, metrics, queue });
  const stopped = controller.start(stop.signal);
  const finish = async () => {
    await ended;
    stop.abort();
    await stopped;
    return metrics.registry.metrics();
  };
  return { log, queue, seen, stop, stopped, ended, finish };
};

// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- reconcilers may throw anything
const fail = (error: unknown) => () => Promise.reject(error);

test('an error is logged once with the reconcile ID, counted, and retried', async () => {
  const { log, queue, finish, seen } = setUp([fail(new Error('no disk')), () => undefined]);
  queue.add(request);
  const metrics = await finish();
  expect(seen).toEqual([request, request]);
  expect(log.at('error')).toEqual(['reconcile failed']);
  expect(log.lines[0]!.fields).toEqual({
    controller: 'test',
    ...request,
    reconcileID: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    error: new Error('no disk'),
  });
  expect(metrics).toContain('controller_runtime_reconcile_total{controller="test",result="error"} 1');
  expect(metrics).toContain('controller_runtime_reconcile_errors_total{controller="test"} 1');
  expect(metrics).toContain('controller_runtime_active_workers{controller="test"} 0');
});

test.each([
  ['a conflict is requeued without an error', new ApiError(409, 'Conflict', ''), 0],
  ['an object that is there already is an error', new ApiError(409, 'AlreadyExists', ''), 1],
  ['a thrown string is an error', 'oops', 1],
  ['undefined is an error', undefined, 1],
])('%s', async (_, error, errors) => {
  const { log, queue, finish, seen } = setUp([fail(error), () => undefined]);
  queue.add(request);
  await finish();
  expect(seen).toHaveLength(2);
  expect(log.at('error')).toHaveLength(errors);
});

test('a synchronous throw is an error like any other', async () => {
  const boom = (): never => {
    throw new Error('boom');
  };
  const { log, queue, finish } = setUp([boom, () => undefined]);
  queue.add(request);
  await finish();
  expect(log.at('error')).toEqual(['reconcile failed']);
});

test('requeueAfter adds the key again', async () => {
  const { queue, finish, seen } = setUp([() => ({ requeueAfter: 1 }), () => undefined]);
  queue.add(request);
  expect(await finish()).toContain('result="requeue_after"} 1');
  expect(seen).toHaveLength(2);
});

test('the wait that the server asked for is kept', async () => {
  const { queue, finish, ended } = setUp([fail(new ApiError(429, 'TooManyRequests', '', 50)), () => undefined]);
  queue.add(request);
  const start = performance.now();
  await ended;
  expect(performance.now() - start).toBeGreaterThanOrEqual(49);
  await finish();
});

test('reconciles as many keys at once as there are workers, and no more', async () => {
  const gate = Promise.withResolvers<void>();
  let active = 0;
  let most = 0;
  const step = async () => {
    most = Math.max(most, ++active);
    if (active === 3) gate.resolve();
    await gate.promise;
    active--;
  };
  const { queue, finish } = setUp([step, step, step, step, step], 3);
  for (const name of ['a', 'b', 'c', 'd', 'e']) queue.add({ namespace: 'default', name });
  await finish();
  expect(most).toBe(3);
});

test('after the signal the running reconcile ends, the waiting ones do not start, and its error is no error', async () => {
  const begun = Promise.withResolvers<void>();
  const untilAborted = async (_: Request, { signal }: ReconcileContext) => {
    begun.resolve();
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  };
  const { log, queue, stop, stopped, seen } = setUp([untilAborted]);
  queue.add(request);
  queue.add({ namespace: 'default', name: 'b' });
  await begun.promise;
  stop.abort();
  await stopped;
  expect(seen).toEqual([request]);
  expect(log.at('error')).toEqual([]);
});

test('a signal that is aborted already starts nothing', async () => {
  const controller = new Controller({
    name: 'test',
    reconciler: { reconcile: () => Promise.reject(new Error('must not run')) },
    concurrency: 2,
    log: new MemoryLogger(),
    metrics: createMetrics(),
  });
  controller.queue.add(request);
  await controller.start(AbortSignal.abort());
});
