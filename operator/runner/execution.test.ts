import type { Connection, Dialer, HostKey } from '../ssh/types.ts';
import { type BootstrapRequest, Executor, type HostAccess } from './execution.ts';
import { SSHError } from '../ssh/types.ts';
import { type Claimant, type FollowEvent, RunnerError, type Runner } from './types.ts';

const HOST_KEY: HostKey = { type: 'ssh-ed25519', publicKey: 'ssh-ed25519 AAAA', fingerprint: 'SHA256:x' };
const STARTED = new Date('2026-01-01T00:00:00Z');
const ACCESS = { target: {}, privilege: 'none' } as unknown as HostAccess;

const FINISHED = { phase: 'Finished', startedAt: STARTED, finishedAt: STARTED, exitCode: 0, sentinel: true, outputTail: '' } as const;

/** A follow of a run that has this age and ends 100 ms later, unless it is ended before. */
const following = (signal: AbortSignal, age: number) => (_runID: string, _offset: number, on: (event: FollowEvent) => void) => {
  on({ kind: 'running', age });
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
    setTimeout(() => resolve(FINISHED), 100);
  });
};

/** A host that claims, starts and finishes at once; the order of what it was asked. */
function host(verbs: object | ((signal: AbortSignal) => object) = {}): { executor: Executor; asked: string[] } {
  const asked: string[] = [];
  const connection = { hostKey: HOST_KEY, close: () => Promise.resolve(void asked.push('close')) } as unknown as Connection;
  const verb =
    <T>(name: string, answer: T) =>
    (): Promise<T> =>
      Promise.resolve((asked.push(name), answer));
  const usual = {
    claim: verb('claim', { facts: {}, state: { phase: 'Claimed' as const } }),
    run: verb('run', FINISHED),
    follow: verb('follow', FINISHED),
    tidy: verb('tidy', undefined),
  };
  const runner = (signal: AbortSignal): Runner =>
    ({ ...usual, ...(typeof verbs === 'function' ? (verbs as (signal: AbortSignal) => object)(signal) : verbs) }) as unknown as Runner;
  const dialer: Dialer = { connect: () => Promise.resolve(connection) };
  return {
    executor: new Executor(dialer, (_connection, _privilege, signal) => runner(signal), {
      timeout: 1,
      keepalive: 1,
      legacyAlgorithms: false,
    }),
    asked,
  };
}

const request = (committed: Promise<void>): BootstrapRequest => ({
  claimant: { runID: 'r', machine: { namespace: 'n', name: 'm', uid: 'u' } },
  cleanup: undefined,
  plan: () => ({ steps: [] }) as unknown as ReturnType<NonNullable<BootstrapRequest['plan']>>,
  options: { commandsAsScript: false, workingDir: '/' },
  begun: false,
  timeout: 1_000,
  onTouch: () => undefined,
  committed,
  onOutput: () => undefined,
});

test('a run starts when it may, and not at contact', async () => {
  const { executor, asked } = host();
  const { promise, resolve } = Promise.withResolvers<void>();
  const { promise: contacted, resolve: onContact } = Promise.withResolvers<void>();
  const running = executor.bootstrap(ACCESS, request(promise), { signal: new AbortController().signal, report: () => onContact() });
  await contacted;
  await new Promise((done) => setImmediate(done));
  expect(asked).toEqual(['claim']);
  resolve();
  expect(await running).toMatchObject({ ended: { phase: 'Finished', exitCode: 0 }, hostKey: HOST_KEY });
  expect(asked).toEqual(['claim', 'run', 'close']);
});

test('one that is ended while it waits to start does not', async () => {
  const { executor, asked } = host();
  const stop = new AbortController();
  const { promise: contacted, resolve: onContact } = Promise.withResolvers<void>();
  const running = executor.bootstrap(ACCESS, request(new Promise(() => undefined)), { signal: stop.signal, report: () => onContact() });
  await contacted;
  stop.abort(new Error('paused'));
  await expect(running).rejects.toThrow('paused');
  expect(asked).toEqual(['claim', 'close']);
});

const work = () => ({ signal: new AbortController().signal, report: () => undefined });
const at = Promise.resolve();

describe('a run that had its host before', () => {
  test('does not claim it anew: without its claim it is lost', async () => {
    const holder = { runID: 'x', machine: { namespace: 'n', name: 'x', uid: 'x' } };
    const { executor, asked } = host({ inspect: () => Promise.resolve({ facts: {}, state: undefined, holder }) });
    const { ended } = await executor.bootstrap(ACCESS, { ...request(at), begun: true }, work());
    expect(ended).toEqual({ phase: 'Lost', holder });
    expect(asked).toEqual(['close']);
  });

  test('is started where it was cut off between claim and start', async () => {
    const { executor, asked } = host({ inspect: () => Promise.resolve({ facts: {}, state: { phase: 'Claimed' }, holder: undefined }) });
    await executor.bootstrap(ACCESS, { ...request(at), begun: true }, work());
    expect(asked).toEqual(['run', 'close']);
  });

  test.each<[number, string]>([
    [10, 'Finished'],
    [60_000, 'TimedOut'],
  ])('has as much time left as its own age of %d ms says, whatever the clocks say: %s', async (age, phase) => {
    const state = { phase: 'Running', startedAt: new Date(0), age: 10, command: 'c' };
    const { executor } = host((signal) => ({
      inspect: () => Promise.resolve({ facts: {}, state, holder: undefined }),
      follow: following(signal, age),
      kill: () => Promise.resolve(),
    }));
    const { ended } = await executor.bootstrap(ACCESS, { ...request(at), begun: true, timeout: 60_000 }, work());
    expect(ended).toMatchObject({ phase });
  });
});

test('the time of a run does not begin before the run', async () => {
  const run = () => new Promise((resolve) => setTimeout(() => resolve(FINISHED), 50));
  const { executor } = host({ run });
  expect(await executor.bootstrap(ACCESS, { ...request(at), timeout: 1 }, work())).toMatchObject({ ended: FINISHED });
});

test.each<[string, Error, boolean]>([
  ['was refused', new RunnerError('HostInUse', 'no'), false],
  ['can not be made', new RunnerError('HostNotWritable', 'full'), false],
  ['was perhaps made, as its answer was cut off', new RunnerError('RunnerProtocol', 'no end'), true],
  ['was perhaps made, as the connection broke', new SSHError('ConnectionLost', 'h', 'broke'), true],
])('a claim that %s: whether the host may hold something of the run', async (_name, error, expected) => {
  const { executor } = host({ claim: () => Promise.reject(error) });
  let isTouched = false;
  const asking = { ...request(at), onTouch: () => void (isTouched = true) };
  await expect(executor.bootstrap(ACCESS, asking, work())).rejects.toBe(error);
  expect(isTouched).toBe(expected);
});

describe('a host that another operator bootstrapped', () => {
  const claimant = { runID: 'r', machine: { namespace: 'n', name: 'm', uid: 'u' } };
  const adoption = { claimant, cleanup: { source: 't', commands: [], checks: [] } };
  const free = { inspect: () => Promise.resolve({ facts: {}, state: undefined, holder: undefined }) };
  const clean = (asked: string[]) => ({ clean: () => Promise.resolve((asked.push('clean'), { outcome: 'Clean', ran: true })) });
  const isOurs = ({ runID }: Claimant): boolean => runID === 'r';

  test('gets a claim, and is cleaned', async () => {
    const cleaned: string[] = [];
    const { executor, asked } = host({ ...free, ...clean(cleaned) });
    expect(await executor.reclaim(ACCESS, isOurs, work(), adoption)).toMatchObject({ outcome: 'Clean', ran: true });
    expect([...asked, ...cleaned]).toEqual(['claim', 'close', 'clean']);
  });

  test('is left alone where nobody knows how', async () => {
    const { executor, asked } = host(free);
    const unknown = { ...adoption, cleanup: undefined };
    expect(await executor.reclaim(ACCESS, isOurs, work(), unknown)).toMatchObject({ outcome: 'NoCleanupKnown' });
    expect(asked).toEqual(['close']);
  });

  test('and that has a claim by now is not claimed again', async () => {
    const cleaned: string[] = [];
    const { executor, asked } = host({
      inspect: () => Promise.resolve({ facts: {}, state: undefined, holder: claimant }),
      ...clean(cleaned),
    });
    await executor.reclaim(ACCESS, isOurs, work(), adoption);
    expect([...asked, ...cleaned]).toEqual(['close', 'clean']);
  });
});

describe('a run that has had its time', () => {
  const running = { phase: 'Running', startedAt: STARTED, age: 99, command: 'runcmd[1]' };
  const finished = (exitCode: number) => ({
    phase: 'Finished',
    startedAt: STARTED,
    finishedAt: STARTED,
    exitCode,
    sentinel: true,
    outputTail: 'o',
  });
  const timedOut = { phase: 'TimedOut', startedAt: STARTED, command: 'runcmd[1]', outputTail: 'o' };

  test.each([
    ['was killed', [running, { phase: 'Vanished', startedAt: STARTED, command: 'c', rebooted: false, outputTail: 'o' }], timedOut],
    ['failed by being killed', [running, finished(143)], timedOut],
    ['succeeded just before', [running, finished(0)], finished(0)],
    ['had failed by then', [finished(3)], finished(3)],
  ])('and %s', async (_name, states, expected) => {
    const answers = [...states];
    const { executor } = host((signal: AbortSignal) => ({
      claim: () => Promise.resolve({ facts: {}, state: running }),
      inspect: () => Promise.resolve({ facts: {}, state: answers.shift(), holder: undefined }),
      follow: following(signal, 100),
      kill: () => Promise.resolve(),
    }));
    const { ended } = await executor.bootstrap(ACCESS, { ...request(at), timeout: 100 }, work());
    expect(ended).toEqual(expected);
  });
});
