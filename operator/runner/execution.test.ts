import type { Connection, Dialer, HostKey } from '../ssh/types.ts';
import { type BootstrapRequest, Executor, type HostAccess } from './execution.ts';
import type { Runner } from './types.ts';

const HOST_KEY: HostKey = { type: 'ssh-ed25519', publicKey: 'ssh-ed25519 AAAA', fingerprint: 'SHA256:x' };
const STARTED = new Date('2026-01-01T00:00:00Z');
const ACCESS = { target: {}, privilege: 'none' } as unknown as HostAccess;

/** A host that claims, starts and finishes at once; the order of what it was asked. */
function host(): { executor: Executor; asked: string[] } {
  const asked: string[] = [];
  const connection = { hostKey: HOST_KEY, close: () => Promise.resolve(void asked.push('close')) } as unknown as Connection;
  const verb =
    <T>(name: string, answer: T) =>
    (): Promise<T> =>
      Promise.resolve((asked.push(name), answer));
  const finished = { phase: 'Finished', startedAt: STARTED, finishedAt: STARTED, exitCode: 0, sentinel: true, outputTail: '' } as const;
  const runner = {
    claim: verb('claim', { facts: {}, state: { phase: 'Claimed' as const } }),
    start: verb('start', undefined),
    follow: verb('follow', finished),
    tidy: verb('tidy', undefined),
  } as unknown as Runner;
  const dialer: Dialer = { connect: () => Promise.resolve(connection) };
  return { executor: new Executor(dialer, () => runner, { timeout: 1, keepalive: 1, legacyAlgorithms: false }), asked };
}

const request = (committed: Promise<void>): BootstrapRequest => ({
  claimant: { runID: 'r', machine: { namespace: 'n', name: 'm', uid: 'u' } },
  cleanup: undefined,
  plan: () => ({ steps: [] }) as unknown as ReturnType<NonNullable<BootstrapRequest['plan']>>,
  options: { commandsAsScript: false, workingDir: '/' },
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
  expect(asked).toEqual(['claim', 'start', 'follow', 'tidy', 'close']);
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
