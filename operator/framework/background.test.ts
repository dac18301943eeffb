import fc from 'fast-check';
import { BackgroundTasks, type TaskHandle } from './background.ts';

/** Tasks that end when told to. */
const setUp = (slots: (limit: string) => number = () => Infinity) => {
  const changes: string[] = [];
  const begun: string[] = [];
  const handles = new Map<string, TaskHandle<string> & PromiseWithResolvers<string>>();
  const tasks = new BackgroundTasks<string, string>({ slots, onChange: (key) => changes.push(key) });
  const work = (name: string) => (handle: TaskHandle<string>) => {
    const promise = Promise.withResolvers<string>();
    begun.push(name);
    handles.set(name, { ...handle, ...promise });
    handle.signal.addEventListener('abort', () => promise.reject(handle.signal.reason));
    return promise.promise;
  };
  const ensure = (key: string, limits: string[] = [], id = key) => tasks.ensure(key, id, limits, work(id));
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const finish = async (name: string) => {
    handles.get(name)!.resolve(`${name} done`);
    await settled();
  };
  return { tasks, ensure, changes, begun, handles, finish, settled };
};

test('starts a task once and shows how it stands', async () => {
  const { tasks, ensure, changes, begun, handles, finish, settled } = setUp();
  expect(ensure('a')).toEqual({ phase: 'running' });
  await settled();
  expect(ensure('a')).toEqual({ phase: 'running' });
  handles.get('a')!.report('half');
  expect(ensure('a')).toEqual({ phase: 'running', progress: 'half' });
  await finish('a');
  expect(ensure('a')).toEqual({ phase: 'done', result: 'a done' });
  expect(tasks.peek('a')).toEqual({ id: 'a', state: { phase: 'done', result: 'a done' } });
  expect(begun).toEqual(['a']);
  expect(changes).toEqual(['a', 'a', 'a']);
  tasks.forget('a');
  expect(tasks.peek('a')).toBeUndefined();
});

test('a failure is a state, also when the work throws at once', async () => {
  const { tasks, settled } = setUp();
  const error = new Error('no');
  tasks.ensure('a', '1', ['total'], () => {
    throw error;
  });
  tasks.ensure('b', '1', ['total'], () => Promise.reject(error));
  await settled();
  expect(tasks.peek('a')?.state).toEqual({ phase: 'failed', error });
  expect(tasks.peek('b')?.state).toEqual({ phase: 'failed', error });
});

test('forget leaves a task that has not ended', async () => {
  const { tasks, ensure, settled } = setUp(() => 1);
  ensure('a', ['total']);
  ensure('b', ['total']);
  await settled();
  tasks.forget('a');
  tasks.forget('b');
  expect([tasks.peek('a')?.state.phase, tasks.peek('b')?.state.phase]).toEqual(['running', 'queued']);
});

test('another id aborts the old task, and starts only when that one ended', async () => {
  const { tasks, begun, settled, changes } = setUp();
  const old = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const obstinate = ({ signal, report }: TaskHandle<string>) => {
    signals.push(signal);
    return old.promise.finally(() => report('late'));
  };
  tasks.ensure('a', '1', [], obstinate);
  await settled();
  const second = () => (begun.push('2'), Promise.resolve('second'));
  const third = () => (begun.push('3'), Promise.resolve('third'));
  expect(tasks.ensure('a', '2', [], second)).toEqual({ phase: 'queued' });
  expect(tasks.ensure('a', '3', [], third)).toEqual({ phase: 'queued' });
  expect(signals[0]!.aborted).toBe(true);
  await settled();
  expect(begun).toEqual([]);
  old.resolve('late');
  await settled();
  expect(begun).toEqual(['3']);
  expect(tasks.peek('a')).toEqual({ id: '3', state: { phase: 'done', result: 'third' } });
  expect(changes).toHaveLength(3);
});

test('abort waits for the end and makes room for a new start of the same id', async () => {
  const { tasks, ensure, begun, changes, settled } = setUp();
  ensure('a');
  await settled();
  await tasks.abort('a');
  expect(tasks.peek('a')).toBeUndefined();
  ensure('a');
  await settled();
  expect(begun).toEqual(['a', 'a']);
  expect(changes).toEqual(['a', 'a']);
  await tasks.abort('nobody');
});

test('a task that is aborted before its first step does not start', async () => {
  const { tasks, ensure, begun } = setUp();
  ensure('a');
  await tasks.abort('a');
  expect(begun).toEqual([]);
});

test('a busy host holds up neither other hosts nor a place in the total', async () => {
  const { ensure, begun, finish, settled } = setUp((limit) => (limit === 'total' ? 2 : 1));
  ensure('a', ['total', 'host 1']);
  ensure('b', ['total', 'host 1']);
  ensure('c', ['total', 'host 1']);
  ensure('d', ['total', 'host 2']);
  ensure('e', ['total', 'host 3']);
  await settled();
  expect(begun).toEqual(['a', 'd']);
  await finish('a');
  expect(begun).toEqual(['a', 'd', 'b']);
  await finish('d');
  expect(begun).toEqual(['a', 'd', 'b', 'e']);
  await finish('b');
  expect(begun).toEqual(['a', 'd', 'b', 'e', 'c']);
});

test('shutDown aborts all, waits, and nothing starts after it', async () => {
  const { tasks, ensure, begun, settled } = setUp(() => 1);
  ensure('a', ['total']);
  ensure('b', ['total']);
  await settled();
  await tasks.shutDown();
  expect(ensure('c')).toEqual({ phase: 'queued' });
  await settled();
  expect(begun).toEqual(['a']);
});

test('no limit is ever exceeded, none leaks, no key runs twice at once, and every task comes to its end', async () => {
  const name = fc.constantFrom('x', 'y', 'z');
  const action = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    id: fc.constantFrom('1', '2'),
    limits: fc.array(name, { maxLength: 3 }),
    then: fc.constantFrom('nothing', 'wait', 'abort', 'fail'),
  });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(action, { maxLength: 25 }), async (scheduler, actions) => {
      const held = new Map<string, number>();
      const active = new Set<string>();
      const tasks = new BackgroundTasks<string, string>({ slots: () => 2, onChange: () => undefined });
      const change = (limits: Set<string>, by: number) => {
        for (const limit of limits) held.set(limit, (held.get(limit) ?? 0) + by);
        expect(Math.max(0, ...held.values())).toBeLessThanOrEqual(2);
      };
      for (const { key, id, limits, then } of actions) {
        const names = new Set(limits);
        tasks.ensure(key, id, limits, async () => {
          expect(active).not.toContain(key);
          active.add(key);
          change(names, 1);
          await scheduler.schedule(Promise.resolve(), key);
          change(names, -1);
          active.delete(key);
          if (then === 'fail') throw new Error('failed');
          return id;
        });
        if (then === 'wait' && scheduler.count() > 0) await scheduler.waitNext(1);
        if (then === 'abort') void tasks.abort(key);
      }
      do {
        await scheduler.waitIdle();
        await new Promise((resolve) => setImmediate(resolve));
      } while (scheduler.count() > 0);
      expect(active.size).toBe(0);
      for (const key of ['a', 'b', 'c', 'd']) expect(tasks.peek(key)?.state.phase ?? 'done').toMatch(/done|failed/);
    }),
  );
});
