import type { CleanupPlan } from '../cleanup/plan.ts';
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
  plan: () => Promise.resolve({ steps: [], expectsSentinel: false, ofHost: false, findings: [] }),
  options: { commandsAsScript: false, workingDir: '/' },
  isGone: () => Promise.resolve(false),
  asksHost: false,
  begun: false,
  timeout: 1_000,
  onTouch: () => undefined,
  committed,
  output: { write: () => undefined, flush: () => undefined },
});

const work = () => ({ signal: new AbortController().signal, report: () => undefined });
const at = Promise.resolve();

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

test('what a command printed last is told whole or not, before another one begins and at the end', async () => {
  const told: string[] = [];
  const printed = (text: string): FollowEvent => ({ kind: 'output', chunk: Buffer.from(text), offset: 0 });
  const { executor } = host({
    run: (_runID: string, _plan: unknown, _options: unknown, on: (event: FollowEvent) => void) => {
      for (const event of [printed('a'), { kind: 'command', name: 'c', at: STARTED, offset: 0 } as const, printed('b')]) on(event);
      return Promise.resolve(FINISHED);
    },
  });
  const output = { write: (chunk: Buffer) => void told.push(chunk.toString()), flush: () => void told.push('flush') };
  await executor.bootstrap(ACCESS, { ...request(at), output }, work());
  expect(told).toEqual(['a', 'flush', 'b', 'flush']);
});

describe('where the host decides whether there is a plan', () => {
  const said = { facts: { hostname: 'h' }, release: { ID: 'debian' }, libc: '' };
  const asking = (state: object | undefined, asked: string[] = []) => ({
    inspect: () => Promise.resolve((asked.push('inspect'), { ...said, state, holder: undefined })),
  });
  const plan = { steps: [], expectsSentinel: false, ofHost: false, findings: [] };
  const refusing = () => Promise.reject(new Error('refused'));

  test('it is asked first, and the plan that was looked at is run', async () => {
    const seen: string[] = [];
    const run = (_: string, ran: unknown) => Promise.resolve((seen.push(ran === plan ? 'run it' : 'run another'), FINISHED));
    const { executor, asked } = host({ ...asking(undefined, seen), run });
    const planned = jest.fn(() => Promise.resolve((seen.push('plan'), plan)));
    expect(await executor.bootstrap(ACCESS, { ...request(at), asksHost: true, plan: planned }, work())).toMatchObject({ ended: FINISHED });
    expect(planned.mock.calls).toEqual([[expect.objectContaining(said)]]);
    expect([seen, asked]).toEqual([
      ['inspect', 'plan', 'run it'],
      ['claim', 'close'],
    ]);
  });

  test('it is left as it was where there is none', async () => {
    const { executor, asked } = host(asking(undefined));
    const onTouch = jest.fn();
    const failing = { ...request(at), asksHost: true, plan: refusing, onTouch };
    await expect(executor.bootstrap(ACCESS, failing, work())).rejects.toThrow('refused');
    expect(asked).toEqual(['close']);
    expect(onTouch).not.toHaveBeenCalled();
  });

  test.each([true, false])('a run that lives there is followed all the same (known to have begun: %s)', async (begun) => {
    const state = { phase: 'Running', startedAt: STARTED, age: 1, command: 'c' };
    const { executor, asked } = host({ ...asking(state), claim: () => Promise.resolve({ ...said, state }) });
    const { ended } = await executor.bootstrap(ACCESS, { ...request(at), begun, asksHost: true, plan: refusing }, work());
    expect(ended).toEqual(FINISHED);
    expect(asked).toEqual(['follow', 'close']);
  });
});

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

describe('a claim of another run', () => {
  const holder = { runID: 'x', machine: { namespace: 'n', name: 'x', uid: 'x' } };
  const refusal = Object.assign(new RunnerError('HostInUse', 'no'), { holder });
  const unsure: [string, () => Promise<boolean>][] = [
    ['is there', () => Promise.resolve(false)],
    ['is perhaps there, as the API server does not tell', () => Promise.reject(new Error('no answer'))],
  ];
  /** A host that has it and gives it up. */
  function held() {
    const claims: unknown[] = [];
    const claim = (_claimant: Claimant, _cleanup: unknown, options: { orphan?: string }) => {
      claims.push(options.orphan);
      return options.orphan === 'x' ? Promise.resolve({ facts: {}, state: { phase: 'Claimed' } }) : Promise.reject(refusal);
    };
    return { ...host({ claim }), claims };
  }

  test('gives way where its machine is gone', async () => {
    const { executor, claims } = held();
    const isGone = (asked: Claimant) => Promise.resolve(asked === holder);
    expect(await executor.bootstrap(ACCESS, { ...request(at), isGone }, work())).toMatchObject({ ended: FINISHED });
    expect(claims).toEqual([undefined, 'x']);
  });

  describe('that a cleanup finds', () => {
    const found = (goes: boolean) => {
      const withdraw = jest.fn((runID: string) => Promise.resolve(runID === 'x' && goes));
      return { ...host({ inspect: () => Promise.resolve({ facts: {}, state: undefined, holder }), withdraw }), withdraw };
    };
    const nobodys = () => false;

    test.each([
      ['goes where its machine is gone and nothing began', true, { outcome: 'Clean', ran: false }],
      ['stays where its machine is gone and something may have begun', false, { outcome: 'InUse', holder }],
    ])('%s', async (_name, goes, outcome) => {
      const { executor, withdraw } = found(goes);
      const isGone = (asked: Claimant) => Promise.resolve(asked === holder);
      expect(await executor.reclaim(ACCESS, nobodys, work(), { isGone })).toMatchObject(outcome);
      expect(withdraw.mock.calls).toEqual([['x']]);
    });

    test.each(unsure)('stays where its machine %s', async (_name, isGone) => {
      const { executor, withdraw } = found(true);
      expect(await executor.reclaim(ACCESS, nobodys, work(), { isGone })).toMatchObject({ outcome: 'InUse', holder });
      expect(withdraw).not.toHaveBeenCalled();
    });
  });

  test.each(unsure)('stays where its machine %s', async (_name, isGone) => {
    const { executor, claims } = held();
    const onTouch = jest.fn();
    await expect(executor.bootstrap(ACCESS, { ...request(at), isGone, onTouch }, work())).rejects.toBe(refusal);
    expect(claims).toEqual([undefined]);
    expect(onTouch).not.toHaveBeenCalled();
  });
});

describe('a host that another operator bootstrapped', () => {
  const claimant = { runID: 'r', machine: { namespace: 'n', name: 'm', uid: 'u' } };
  const adoption = { adopts: claimant, cleanup: { source: 't', commands: [], checks: [] } };
  const free = { inspect: () => Promise.resolve({ facts: {}, state: undefined, holder: undefined }) };
  const clean = (asked: string[]) => ({
    clean: (runID: string, _on: unknown, cleanup?: CleanupPlan) =>
      Promise.resolve((asked.push(`clean ${runID} as ${cleanup?.source}`), { outcome: 'Clean', ran: true })),
  });
  const isOurs = ({ runID }: Claimant): boolean => runID === 'r';

  test('gets a claim, and is cleaned', async () => {
    const cleaned: string[] = [];
    const { executor, asked } = host({ ...free, ...clean(cleaned) });
    expect(await executor.reclaim(ACCESS, isOurs, work(), adoption)).toMatchObject({ outcome: 'Clean', ran: true });
    expect([...asked, ...cleaned]).toEqual(['claim', 'close', 'clean r as t']);
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
    expect([...asked, ...cleaned]).toEqual(['close', 'clean r as t']);
  });
});

test.each([
  ['nobody', undefined, { outcome: 'Clean', ran: false }],
  ['another run', 'x', { outcome: 'InUse' }],
])('a run of which a host that %s has shows nothing is kept from coming late', async (_name, runID, expected) => {
  const holder = runID === undefined ? undefined : { runID, machine: { namespace: 'n', name: 'x', uid: 'u' } };
  const { executor, asked } = host({
    inspect: () => Promise.resolve({ facts: {}, state: undefined, holder }),
    clean: (run: string) => Promise.resolve((asked.push(`clean ${run}`), { outcome: 'Clean', ran: false })),
  });
  expect(await executor.reclaim(ACCESS, ({ runID }) => runID === 'r', work(), { run: 'r' })).toMatchObject(expected);
  expect(asked).toEqual(['clean r', 'close']);
});

test('a cleanup that has had its time is killed, and has failed', async () => {
  const holder = { runID: 'r', machine: { namespace: 'n', name: 'm', uid: 'u' } };
  const killed: string[] = [];
  const { executor, asked } = host((signal) => ({
    inspect: () => Promise.resolve({ facts: {}, state: undefined, holder }),
    clean: (_runID: string, on: (event: FollowEvent) => void) => {
      on({ kind: 'running', age: 0 });
      on({ kind: 'command', name: 'cleanUpCommands[0]', at: STARTED, offset: 0 });
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    },
    kill: (runID: string) => Promise.resolve(void killed.push(runID)),
  }));
  const outcome = await executor.reclaim(ACCESS, () => true, work(), { timeout: 20 });
  expect(outcome).toMatchObject({ outcome: 'Failed', command: 'cleanUpCommands[0]', message: 'did not end within 0 s and was killed' });
  expect([...killed, ...asked]).toEqual(['r', 'close']);
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
