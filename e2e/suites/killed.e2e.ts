/** The manager dies by SIGKILL at every step of a machine's way, and the next one goes on: nothing runs twice, and nothing false is said. */
import { momentsOf, type Step, WAY, WAY_BACK } from '../../operator/framework/failpoint.ts';
import { failpointProgram } from '../fixtures/failpoints.ts';
import { Lane } from '../fixtures/lane.ts';
import { sharedEnvironment, type Suite } from '../jest/shared.ts';

const environments = ['a', 'b', 'c', 'explicit'].map((name) => sharedEnvironment(`killed-${name}`));
/** Of machines from a pool. */
let lanes: Lane[] = [];
let explicit: Lane;

/** A failpoint as it is passed the n-th time. */
interface Point {
  name: string;
  passing: number;
}
/** One for each state of things: a kill after a step is one before the next. */
const pointsOf = (way: readonly Step[]): Point[] => {
  const names = way.flatMap(momentsOf);
  const points = names.map((name, index) => ({ name, passing: names.slice(0, index + 1).filter((other) => other === name).length }));
  return points.filter(({ name }, index) => !name.startsWith('after ') || index === names.length - 1);
};
const ofExplicit = (way: readonly Step[]) => way.filter((step) => !step.includes('pooled') && step !== 'patch machines');

beforeAll(async () => {
  const suites = environments.map((environment) => environment());
  const [first] = suites as [Suite];
  const program = await failpointProgram(first, first.namespace);
  const started = await Promise.all(suites.map((suite, index) => Lane.start(suite, index < 3 ? 'pooled' : 'explicit', program)));
  lanes = started.slice(0, 3);
  explicit = started[3] as Lane;
});
afterAll(() => Promise.all([...lanes, explicit].map((lane) => lane.end())));

/** Where a step takes seconds, the machine says so meanwhile: how often it writes its status depends on how busy everything is. */
const withoutStatus = (names: string[]) => names.filter((name) => !name.endsWith(' remotemachines/status'));

test.each([
  ['from a pool', WAY, WAY_BACK],
  ['that names its host', ofExplicit(WAY), ofExplicit(WAY_BACK)],
] as const)('the way of a machine %s is as the code names it', async (what, way, back) => {
  const lane = what === 'from a pool' ? (lanes[0] as Lane) : explicit;
  const expectWay = async (steps: readonly Step[], work: () => Promise<void>) => {
    const named: string[] = steps.flatMap(momentsOf);
    const passed = await lane.wayOf(work, named.at(-1) ?? '');
    expect(withoutStatus(passed)).toEqual(withoutStatus(named));
    expect(passed.length).toBeGreaterThanOrEqual(named.length);
  };
  await lane.renew();
  await expectWay(way, () => lane.provision('way'));
  await expectWay(back, () => lane.remove('way'));
});

/** One lane after the other takes the next of what there is to do. */
async function inLanes<T>(tasks: T[], work: (lane: Lane, task: T, index: number) => Promise<void>): Promise<void> {
  const left = tasks.map((task, index) => ({ task, index }));
  await Promise.all(
    lanes.map(async (lane) => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await work(lane, next.task, next.index);
    }),
  );
}

test('killed anywhere on its way there, a machine becomes ready', async () => {
  await inLanes(pointsOf(WAY), async (lane, { name, passing }, index) => {
    const machine = `there-${index}`;
    await lane.renew();
    await lane.killedAt(name, passing, () => lane.apply(machine));
    await lane.provisioned(machine);
    await lane.remove(machine);
  });
});

test('killed anywhere on its way back, a machine leaves a clean host', async () => {
  await inLanes(pointsOf(WAY_BACK), async (lane, { name, passing }, index) => {
    const machine = `back-${index}`;
    await lane.renew();
    await lane.provision(machine);
    await lane.killedAt(name, passing, () => lane.delete(machine));
    await lane.removed(machine);
  });
});

test('a claim under which nothing began gives way where its machine is gone', async () => {
  const vanishes = () => explicit.vanish('vanishes');
  await explicit.killedAt('after exec claim', 1, () => explicit.apply('vanishes'), vanishes);
  await explicit.provision('next');
  await explicit.remove('next');
});
