import type { KubernetesObject } from '../../apis/meta.ts';
import { Reviews, type User } from './reviews.ts';
import type { Client, Resource } from './types.ts';

/** An API server that knows two tokens, of whom one may read /metrics. */
const setUp = () => {
  const asked: { plural: string; spec: object }[] = [];
  const users: Record<string, User> = {
    'of-prometheus': { username: 'prometheus', groups: ['g'], extra: { e: ['x'] } },
    'of-nobody-special': { username: 'nobody-special' },
  };
  let fails = 0;
  const create = <T extends KubernetesObject>({ plural }: Resource, object: Partial<T>): Promise<T> => {
    const spec = object.spec as { token?: string; user?: string };
    asked.push({ plural, spec });
    if (fails-- > 0) return Promise.reject(new Error('the API server is away'));
    const user = users[spec.token ?? ''];
    const status = plural === 'tokenreviews' ? { authenticated: user !== undefined, user } : { allowed: spec.user === 'prometheus' };
    return Promise.resolve({ ...object, status } as T);
  };
  const time = { now: 0 };
  const client: Pick<Client, 'create'> = { create };
  const reviews = new Reviews(client, () => time.now);
  const reads = (token: string) => reviews.check(token, { verb: 'get', path: '/metrics' });
  return { asked, reviews, reads, time, users, failOnce: () => (fails = 1) };
};

test('whoever has the right is let in, with all that the API server knows of them', async () => {
  const { asked, reads, users } = setUp();
  expect(await reads('of-prometheus')).toEqual({ user: users['of-prometheus'], allowed: true });
  expect(asked).toEqual([
    { plural: 'tokenreviews', spec: { token: 'of-prometheus' } },
    {
      plural: 'subjectaccessreviews',
      spec: { user: 'prometheus', groups: ['g'], extra: { e: ['x'] }, nonResourceAttributes: { verb: 'get', path: '/metrics' } },
    },
  ]);
});

test('a token that is nobody’s is told from a user without the right', async () => {
  const { asked, reads } = setUp();
  expect(await reads('made-up')).toEqual({ user: undefined, allowed: false });
  expect(asked).toHaveLength(1);
  expect(await reads('of-nobody-special')).toMatchObject({ user: { username: 'nobody-special' }, allowed: false });
});

test('answers are kept, a yes for a minute and a no for ten seconds', async () => {
  const { asked, reads, time } = setUp();
  for (const token of ['of-prometheus', 'of-nobody-special', 'made-up']) for (let i = 0; i < 3; i++) await reads(token);
  expect(asked).toHaveLength(5);
  time.now = 10_000;
  await reads('of-nobody-special'); // of whom it is still known who they are
  await reads('made-up');
  await reads('of-prometheus');
  expect(asked).toHaveLength(7);
  time.now = 60_000;
  await reads('of-prometheus');
  expect(asked).toHaveLength(9);
});

test('each path and verb is a right of its own', async () => {
  const { asked, reads, reviews } = setUp();
  await reads('of-prometheus');
  await reviews.check('of-prometheus', { verb: 'put', path: '/debug/flags/v' });
  expect(asked.map(({ plural }) => plural)).toEqual(['tokenreviews', 'subjectaccessreviews', 'subjectaccessreviews']);
});

test('those who ask at once share one review, and a failure is not kept', async () => {
  const { asked, reads, failOnce } = setUp();
  failOnce();
  const answers = await Promise.allSettled([reads('of-prometheus'), reads('of-prometheus')]);
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(asked).toHaveLength(1);
  expect(await reads('of-prometheus')).toMatchObject({ allowed: true });
});

test('however many tokens come, only so many are kept', async () => {
  const { asked, reads } = setUp();
  await reads('of-prometheus');
  for (let i = 0; i < 256; i++) await reads(`made-up-${i}`);
  const before = asked.length;
  await reads('made-up-255');
  expect(asked).toHaveLength(before);
  await reads('of-prometheus');
  expect(asked).toHaveLength(before + 1);
});
