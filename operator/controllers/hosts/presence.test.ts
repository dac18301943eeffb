import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import { machine, NAMESPACE } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { isRunGone } from './presence.ts';

let world: World;
beforeEach(async () => {
  world = await World.start();
});
afterEach(() => world.stop());

const signal = new AbortController().signal;
const holder = { runID: 'r', machine: { namespace: NAMESPACE, name: 'm', uid: 'before a move' } };

test.each<[string, Record<string, string> | undefined, boolean]>([
  ['whose machine does not exist', undefined, true],
  ['that the machine has, under whatever UID', { [ANNOTATION.runID]: 'r' }, false],
  ['of an earlier machine of that name', { [ANNOTATION.runID]: 'another' }, true],
])('a run %s is gone: %s', async (_name, annotations, expected) => {
  if (annotations !== undefined) await world.create(machine({ address: 'h' }, { annotations }));
  expect(await isRunGone(world.client)(holder, signal)).toBe(expected);
});

test('of one that the API server does not tell of, nobody knows', async () => {
  world.server.fail({ path: /remotemachines\/m$/, status: 403, reason: 'Forbidden' });
  await expect(isRunGone(world.client)(holder, signal)).rejects.toMatchObject({ status: 403 });
});
