import fc from 'fast-check';
import { createMetrics } from './metrics.ts';
import { WorkQueue } from './queue.ts';
import type { Request } from './types.ts';

const key = (name: string): Request => ({ namespace: 'default', name });
const [a, b, c] = [key('a'), key('b'), key('c')];

test('hands out keys in order, each once however often it was added', async () => {
  const queue = new WorkQueue();
  for (const request of [a, b, a, { ...a }, c, b]) queue.add(request);
  expect([await queue.get(), await queue.get(), await queue.get()]).toEqual([a, b, c]);
  expect(queue.length).toBe(0);
});

test('a key added while it is processed comes again once, after done', async () => {
  const queue = new WorkQueue();
  queue.add(a);
  await queue.get();
  queue.add(a);
  queue.add(a);
  queue.add(b);
  expect(await queue.get()).toEqual(b);
  expect(queue.length).toBe(0);
  queue.done(a);
  expect(await queue.get()).toEqual(a);
  queue.done(a);
  expect(queue.length).toBe(0);
});

test('what goes first goes before the rest, in order, and still once', async () => {
  const queue = new WorkQueue();
  for (const request of [a, b]) queue.add(request);
  for (const request of [c, b, c]) queue.addFirst(request);
  queue.add(b);
  expect(queue.length).toBe(3);
  expect([await queue.get(), await queue.get(), await queue.get()]).toEqual([c, b, a]);
  expect(queue.length).toBe(0);
});

test('a key that is to go first while it is processed does so after done', async () => {
  const queue = new WorkQueue();
  queue.add(a);
  await queue.get();
  queue.add(a);
  queue.addFirst(a);
  queue.add(a);
  queue.add(b);
  queue.done(a);
  expect([await queue.get(), await queue.get()]).toEqual([a, b]);
  expect(queue.length).toBe(0);
});

test('wakes a worker that waits', async () => {
  const queue = new WorkQueue();
  const next = [queue.get(), queue.get()];
  queue.add(a);
  queue.add(b);
  expect(await Promise.all(next)).toEqual([a, b]);
});

describe('with time', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  test('addAfter keeps the earliest due time', () => {
    const queue = new WorkQueue();
    queue.addAfter(a, 1000);
    queue.addAfter(a, 500);
    queue.addAfter(a, 2000);
    jest.advanceTimersByTime(499);
    expect(queue.length).toBe(0);
    jest.advanceTimersByTime(1);
    expect(queue.length).toBe(1);
    jest.advanceTimersByTime(5000);
    expect(queue.length).toBe(1);
  });

  test.each([0, -1, Number.NaN])('addAfter(%d) adds at once', (delay) => {
    const queue = new WorkQueue();
    queue.addAfter(a, delay);
    expect(queue.length).toBe(1);
  });

  test('a delay of months is no delay of nothing', () => {
    const queue = new WorkQueue();
    queue.addAfter(a, 2 ** 40);
    jest.advanceTimersByTime(1000);
    expect(queue.length).toBe(0);
    queue.shutDown();
  });

  test('the backoff doubles up to its limit, with jitter, and starts anew after forget', async () => {
    const queue = new WorkQueue();
    const wait = async () => {
      const start = performance.now();
      queue.addRateLimited(a);
      jest.advanceTimersToNextTimer();
      await queue.get();
      queue.done(a);
      return performance.now() - start;
    };
    for (const full of [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      const waited = await wait();
      expect(waited).toBeGreaterThanOrEqual(full / 2 - 1);
      expect(waited).toBeLessThanOrEqual(full + 1);
    }
    queue.forget(a);
    expect(await wait()).toBeLessThanOrEqual(251);
  });

  test('the backoff waits at least as long as the server asked for', () => {
    const queue = new WorkQueue();
    queue.addRateLimited(a, 5000);
    jest.advanceTimersByTime(4999);
    expect(queue.length).toBe(0);
    jest.advanceTimersByTime(1);
    expect(queue.length).toBe(1);
  });

  test('shutDown wakes the workers with undefined and leaves no timer', async () => {
    const queue = new WorkQueue();
    const next = queue.get();
    queue.addAfter(a, 1000);
    queue.shutDown();
    queue.add(b);
    expect(await next).toBeUndefined();
    expect(await queue.get()).toBeUndefined();
    expect(jest.getTimerCount()).toBe(0);
    expect(queue.known).toBe(0);
  });
});

test('workers never share a key, no add is lost, and nothing is kept of forgotten keys', async () => {
  const step = fc.record({ name: fc.constantFrom('a', 'b', 'c'), how: fc.constantFrom('add', 'after', 'limited'), pause: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(step, { maxLength: 30 }),
      fc.integer({ min: 1, max: 4 }),
      async (scheduler, steps, workers) => {
        const queue = new WorkQueue({ backoff: { base: 0, max: 0 } });
        const busy = new Set<string>();
        /** Keys added since a reconcile of them last began. */
        const dirty = new Set<string>();
        const work = async (): Promise<void> => {
          for (let request = await queue.get(); request !== undefined; request = await queue.get()) {
            expect(busy).not.toContain(request.name);
            busy.add(request.name);
            dirty.delete(request.name);
            await scheduler.schedule(Promise.resolve(), 'work');
            busy.delete(request.name);
            queue.forget(request);
            queue.done(request);
          }
        };
        const working = Promise.all(Array.from({ length: workers }, work));
        for (const { name, how, pause } of steps) {
          dirty.add(name);
          if (how === 'add') queue.add(key(name));
          else if (how === 'after') queue.addAfter(key(name), 0);
          else queue.addRateLimited(key(name));
          if (pause && scheduler.count() > 0) await scheduler.waitNext(1);
        }
        do {
          await scheduler.waitIdle();
          await new Promise((resolve) => setImmediate(resolve));
        } while (scheduler.count() > 0);
        expect(dirty).toEqual(new Set());
        expect(queue.known).toBe(0);
        queue.shutDown();
        await working;
      },
    ),
  );
});

test('measures itself', async () => {
  const metrics = createMetrics();
  const queue = new WorkQueue({ metrics: metrics.queue('q') });
  queue.add(a);
  queue.add(a);
  queue.add(b);
  await queue.get();
  queue.done(a);
  queue.addRateLimited(c);
  const waitsFor = async () => Number(/^workqueue_oldest_item_seconds\{name="q"\} (\S+)$/m.exec(await metrics.registry.metrics())?.[1]);
  const waited = await waitsFor();
  expect(waited).toBeGreaterThan(0);
  expect(await waitsFor()).toBeGreaterThan(waited);
  const text = await metrics.registry.metrics();
  expect(text).toContain('workqueue_adds_total{name="q"} 2');
  expect(text).toContain('workqueue_depth{name="q"} 1');
  expect(text).toContain('workqueue_retries_total{name="q"} 1');
  expect(text).toContain('workqueue_queue_duration_seconds_count{name="q"} 1');
  expect(text).toContain('workqueue_work_duration_seconds_count{name="q"} 1');
  expect(text).toContain('workqueue_longest_running_processor_seconds{name="q"} 0');
  await queue.get();
  expect(await waitsFor()).toBe(0);
  expect(await metrics.registry.metrics()).not.toContain('workqueue_longest_running_processor_seconds{name="q"} 0\n');
  queue.shutDown();
});
