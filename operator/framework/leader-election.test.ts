import type { KubernetesObject } from '../../apis/meta.ts';
import { isDeclared } from '../../apis/rights.ts';
import { ApiClient } from './client.ts';
import { LeaderElector, microTime, type LeaderElectionOptions } from './leader-election.ts';
import { createMetrics } from './metrics.ts';
import { FakeApiServer } from './testing/api-server.ts';
import { MemoryLogger } from './testing/log.ts';
import { LEASES } from './testing/resources.ts';

const name = { namespace: 'system', name: 'manager' };
interface Spec {
  holderIdentity: string;
  leaseDurationSeconds: number;
  renewTime: string;
  acquireTime: string;
  leaseTransitions: number;
}
let server: FakeApiServer;
let client: ApiClient;
let stop: AbortController;
/** Milliseconds; the electors' clock stands still but for this. */
let time: number;
let log: MemoryLogger;

beforeEach(async () => {
  server = await FakeApiServer.start([LEASES]);
  log = new MemoryLogger();
  client = new ApiClient({ access: server.access(), version: 'test', log, isDeclared });
  stop = new AbortController();
  time = 0;
});
afterEach(async () => {
  stop.abort();
  client.close();
  await server.stop();
});

const elector = (identity: string, options: Partial<LeaderElectionOptions> = {}) =>
  new LeaderElector({
    client,
    ...name,
    identity,
    log,
    leaseDuration: 1000,
    renewDeadline: 500,
    retryPeriod: 2,
    clock: () => time,
    ...options,
  });
const lease = () => server.get<KubernetesObject<Spec>>(LEASES, name).spec!;

test('takes a lease that nobody has, as client-go writes it', async () => {
  expect(await elector('a').acquire(stop.signal)).toBe(true);
  expect(lease()).toEqual({
    holderIdentity: 'a',
    leaseDurationSeconds: 1,
    acquireTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/) as string,
    renewTime: lease().acquireTime,
    leaseTransitions: 0,
  });
});

test('renews it, and keeps the time of its acquisition', async () => {
  const a = elector('a');
  await a.acquire(stop.signal);
  const { acquireTime } = lease();
  const holding = a.hold(stop.signal);
  for (let i = 0; i < 3; i++) await server.seen('PATCH', /leases/);
  stop.abort();
  expect(await holding).toBe('stopped');
  expect(lease()).toMatchObject({ holderIdentity: 'a', acquireTime, leaseTransitions: 0 });
});

test('another one waits until the lease did not change for its duration by its own clock', async () => {
  const foreign = { holderIdentity: 'a', leaseDurationSeconds: 1, renewTime: '1999-01-01T00:00:00.000000Z', leaseTransitions: 4 };
  server.create(LEASES, { metadata: name, spec: foreign });
  const acquiring = elector('b').acquire(stop.signal);
  await server.seen('GET', /leases/);
  time = 900;
  server.patch(LEASES, name, { spec: { renewTime: '1999-01-01T00:00:01.000000Z' } });
  await server.seen('GET', /leases/);
  await server.seen('GET', /leases/);
  time = 1800;
  await server.seen('GET', /leases/);
  await server.seen('GET', /leases/);
  expect(lease().holderIdentity).toBe('a');
  time = 1901;
  expect(await acquiring).toBe(true);
  expect(lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 5 });
  expect(log.lines.filter(({ message }) => message === 'another manager leads').map(({ fields }) => fields['holder'])).toEqual(['a']);
});

test('looks again at the moment at which the lease runs out, however long it else waits', async () => {
  const foreign = { holderIdentity: 'a', leaseDurationSeconds: 1, renewTime: '1999-01-01T00:00:00.000000Z' };
  server.create(LEASES, { metadata: name, spec: foreign });
  const patient = { leaseDuration: 200_000, renewDeadline: 100_000, retryPeriod: 60_000, clock: () => performance.now() };
  expect(await elector('b', patient).acquire(stop.signal)).toBe(true);
  expect(lease().holderIdentity).toBe('b');
}, 20_000);

test('of many candidates exactly one leads, and the next one as soon as it gives up', async () => {
  const leading: string[] = [];
  const candidates = ['a', 'b', 'c', 'd'].map((identity) => {
    const own = new AbortController();
    const one = elector(identity);
    const acquired = one.acquire(AbortSignal.any([own.signal, stop.signal])).then((leads) => {
      if (leads) leading.push(identity);
    });
    return { identity, one, acquired };
  });
  for (let round = 1; round <= 4; round++) {
    await Promise.race(
      candidates.filter(({ identity }) => !leading.slice(0, round - 1).includes(identity)).map(({ acquired }) => acquired),
    );
    for (let i = 0; i < 6; i++) await (round < 4 ? server.seen('GET', /leases/) : undefined);
    expect(leading).toHaveLength(round);
    await candidates.find(({ identity }) => identity === leading[round - 1])!.one.release();
  }
  expect(new Set(leading).size).toBe(4);
});

test('release leaves a lease that anybody may take at once', async () => {
  const a = elector('a');
  await a.acquire(stop.signal);
  await a.release();
  expect(lease()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
  expect(await elector('b').acquire(stop.signal)).toBe(true);
  expect(lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  await a.release();
  expect(lease().holderIdentity).toBe('b');
});

test('release gives up also after a renewal whose answer was not awaited', async () => {
  const a = elector('a');
  await a.acquire(stop.signal);
  server.patch(LEASES, name, { spec: { renewTime: microTime(new Date()) } });
  await a.release();
  expect(lease().holderIdentity).toBe('');
});

describe('the leader', () => {
  const leader = async (options: Partial<LeaderElectionOptions> = {}) => {
    const a = elector('a', options);
    await a.acquire(stop.signal);
    return a;
  };

  test('survives failures that are shorter than the renew deadline', async () => {
    const holding = (await leader()).hold(stop.signal);
    server.fail({ method: 'PATCH', status: 500 });
    server.fail({ method: 'PATCH', instead: 'reset' });
    server.fail({ method: 'PATCH', status: 409, reason: 'Conflict' });
    for (let i = 0; i < 5; i++) await server.seen('PATCH', /leases/);
    stop.abort();
    expect(await holding).toBe('stopped');
  });

  test('has lost once no renewal succeeded within the deadline', async () => {
    const metrics = createMetrics();
    const holding = (await leader({ metrics })).hold(stop.signal);
    expect(await metrics.registry.metrics()).toContain('leader_election_master_status{name="manager"} 1');
    server.fail({ method: 'PATCH', status: 500, times: 1e6 });
    await server.seen('PATCH', /leases/);
    time = 501;
    expect(await holding).toBe('lost');
    expect(await metrics.registry.metrics()).toContain('leader_election_master_status{name="manager"} 0');
    expect(log.at('error')).toEqual(['lost the leader lease']);
  });

  test('has lost when the server does not answer', async () => {
    const a = await leader({ renewDeadline: 60, retryPeriod: 2, clock: () => performance.now() });
    server.fail({ method: 'PATCH', instead: 'hang', times: 1e6 });
    const start = performance.now();
    expect(await a.hold(stop.signal)).toBe('lost');
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('has lost at once when it slept past the deadline', async () => {
    const a = await leader();
    const holding = a.hold(stop.signal);
    time = 10_000;
    expect(await holding).toBe('lost');
  });

  test('has lost at once when another one has the lease', async () => {
    const holding = (await leader()).hold(stop.signal);
    server.patch(LEASES, name, { spec: { holderIdentity: 'thief' } });
    expect(await holding).toBe('lost');
    expect(lease().holderIdentity).toBe('thief');
  });

  test('takes the lease anew if somebody deleted it', async () => {
    const holding = (await leader()).hold(stop.signal);
    server.delete(LEASES, name);
    await server.seen('POST', /leases/);
    await server.seen('PATCH', /leases/);
    stop.abort();
    expect(await holding).toBe('stopped');
    expect(lease().holderIdentity).toBe('a');
  });
});

test('a candidate ends when stopped, also while the server does not answer', async () => {
  server.fail({ instead: 'hang' });
  const acquiring = elector('a').acquire(stop.signal);
  await server.seen('GET', /leases/);
  stop.abort();
  expect(await acquiring).toBe(false);
});

test('durations that cannot work are refused', () => {
  expect(() => elector('a', { renewDeadline: 1000 })).toThrow('the lease duration must be longer than the renew deadline');
});

test('microTime has six digits', () => expect(microTime(new Date(1))).toBe('1970-01-01T00:00:00.001000Z'));
