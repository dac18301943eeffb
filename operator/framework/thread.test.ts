import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import type { FUNCTIONS } from './testing/thread-functions.ts';
import { LimitExceeded, Thread } from './thread.ts';

const FILE = pathToFileURL(join(__dirname, 'testing/thread-functions.ts'));
type Functions = typeof FUNCTIONS;

const start = (limits = {}) => new Thread<Functions>(FILE, { cpu: 1_000, wall: 30_000, megabytes: 50, ...limits });
let thread: Thread<Functions>;
afterEach(() => thread.close());
jest.setTimeout(60_000);

test('calls one after the other, and tells what a function throws', async () => {
  thread = start();
  const calls = [thread.call('add', 1, 2), thread.call('fail'), thread.call('add', 3, 4)];
  expect(await Promise.allSettled(calls)).toMatchObject([
    { status: 'fulfilled', value: 3 },
    { status: 'rejected', reason: { message: 'no' } },
    { status: 'fulfilled', value: 7 },
  ]);
});

test.each<[keyof Functions, object]>([
  ['spin', {}],
  ['hoard', { cpu: 20_000 }],
])('%s ends at its limit, those that wait go on, and the event loop does throughout', async (name, limits) => {
  thread = start(limits);
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  const calls = [thread.call('add', 0, 1), thread.call(name as 'spin'), thread.call('add', 1, 2)];
  const ended = await Promise.allSettled(calls);
  clearInterval(timer);
  expect(ended).toMatchObject([{ value: 1 }, { status: 'rejected', reason: { constructor: LimitExceeded } }, { value: 3 }]);
  expect(turns).toBeGreaterThan(5);
});

test('what takes long without taking CPU time may, until the other limit', async () => {
  thread = start({ cpu: 300, wall: 2_500 });
  expect(await thread.call('sleep', 900)).toBe('timed-out');
  await expect(thread.call('sleep', 60_000)).rejects.toThrow(LimitExceeded);
});

test('where nobody can say how much CPU time it takes, as on a machine that is overloaded, it may take as long as the other limit', async () => {
  const asked = jest.spyOn(Worker.prototype, 'cpuUsage').mockReturnValue(new Promise(() => undefined));
  thread = start({ cpu: 300 });
  expect(await thread.call('sleep', 1_500)).toBe('timed-out');
  expect(asked).toHaveBeenCalled();
  asked.mockRestore();
});
