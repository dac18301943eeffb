/** Two managers at once over one API server, in any interleaving. */
import fc from 'fast-check';
import { ANNOTATION } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES } from '../../apis/infrastructure/resources.ts';
import { isConflict } from '../framework/types.ts';
import { entry, machine } from './testing/objects.ts';
import { NAMESPACE, Setting, type Side } from './testing/setting.ts';
import { ENTRIES, MACHINES, Manager, World } from './testing/simulation.ts';

const OPTIONS = { failureDomain: undefined, startRun: true };

interface Race {
  machines: number;
  entries: number;
  /** Of the writes in their order: whether it meets an injected conflict. */
  conflicts: boolean[];
  /** After so many of its writes a manager dies and is started again; one number a life. */
  lives: number[];
  /** Machines (by number) that are deleted, each at any time. */
  deleted: number[];
}

const races: fc.Arbitrary<Race> = fc.record({
  machines: fc.integer({ min: 1, max: 6 }),
  entries: fc.integer({ min: 0, max: 5 }),
  conflicts: fc.array(fc.boolean(), { maxLength: 20 }),
  lives: fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 4 }),
  deleted: fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
});

/** As a user writes it. */
const written = ({ metadata: { name }, spec }: RemoteMachine | PooledRemoteMachine): object => ({
  metadata: { name, namespace: 'default' },
  spec,
});

async function run(scheduler: fc.Scheduler, { machines, entries, conflicts, lives, deleted }: Race): Promise<World> {
  const world = new World(scheduler, conflicts);
  for (let i = 0; i < entries; i++) {
    world.storage.create(ENTRIES, 'default', written(entry(`e${i}`, { spec: { machine: { address: `10.0.0.${i}` } } })));
  }
  for (let i = 0; i < machines; i++) world.storage.create(MACHINES, 'default', written(machine(`m${i}`)));
  const rest = [...lives];
  const begin = (): void => {
    new Manager(world, rest.shift() ?? Infinity, () => {
      void scheduler.schedule(Promise.resolve(), 'start a manager again').then(begin);
    });
  };
  begin();
  begin();
  for (const i of deleted.filter((number) => number < machines)) {
    void scheduler
      .schedule(Promise.resolve(), `delete m${i}`)
      .then(() => world.storage.delete(MACHINES, { namespace: 'default', name: `m${i}` }));
  }
  await scheduler.waitIdle();
  return world;
}

test('no entry has two machines, no machine two hosts, and no entry is free while a machine waits', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), races, async (scheduler, race) => {
      const world = await run(scheduler, race);
      expect(world.violations).toEqual([]);
      for (const hosts of world.started.values()) expect(hosts.size).toBe(1);
      const machines = world.machines();
      const held = world.entries().filter(({ status }) => status?.reserved === true);
      const bound = machines.filter(({ metadata }) => metadata.annotations?.[ANNOTATION.poolEntry] !== undefined);
      expect(held.map(({ metadata, status }) => [metadata.name, status?.machineRef?.uid])).toEqual(
        bound.map(({ metadata }) => [metadata.annotations?.[ANNOTATION.poolEntry], metadata.uid]).sort(),
      );
      expect(bound).toHaveLength(Math.min(machines.length, race.entries));
      for (const one of bound) expect(one).toMatchObject({ spec: { address: expect.any(String) as string } });
      for (const one of machines.filter((each) => !bound.includes(each))) {
        expect(one.spec).toEqual({ pool: 'p' });
        expect(one.metadata.annotations?.[ANNOTATION.runID]).toBeUndefined();
      }
    }),
    { numRuns: 300 },
  );
});

describe('over HTTP', () => {
  let setting: Setting;
  beforeEach(async () => {
    setting = await Setting.start();
  });
  afterEach(() => setting.stop());

  test('two managers with clients and caches of their own share the entries, whatever conflicts they meet', async () => {
    const [entries, machines] = [6, 9];
    for (let i = 0; i < entries; i++) setting.entry(entry(`e${i}`, { spec: { machine: { address: `10.0.0.${i}` } } }));
    for (let i = 0; i < machines; i++) setting.machine(machine(`m${i}`));
    setting.server.fail({ method: 'PATCH', times: 15, status: 409, reason: 'Conflict' });
    const sides = await Promise.all([setting.side(), setting.side()]);
    await Promise.all(sides.flatMap((side) => Array.from({ length: machines }, (_, i) => insist(side, `m${i}`, entries))));
    const all = setting.server.list<PooledRemoteMachine>(POOLED_REMOTE_MACHINES);
    const holders = all.map(({ status }) => status?.machineRef?.name);
    expect(new Set(holders).size).toBe(entries);
    for (const { metadata, status } of all)
      expect(setting.storedMachine(status?.machineRef?.name ?? '').metadata.annotations?.[ANNOTATION.poolEntry]).toBe(metadata.name);
  });

  const taken = (): number =>
    setting.server.list<PooledRemoteMachine>(POOLED_REMOTE_MACHINES).filter(({ status }) => status?.reserved === true).length;

  /** Tries as a controller does: again after each conflict, and after each change while it waits, until every entry is taken. */
  async function insist(side: Side, name: string, entries: number): Promise<void> {
    while (taken() < entries) {
      const changed = new Promise<void>((resolve) => {
        let replayed = false;
        side.entries.onChange(() => replayed && resolve());
        replayed = true;
      });
      try {
        if ((await side.allocator.reserve(side.machines.get(NAMESPACE, name) as RemoteMachine, OPTIONS)).kind === 'reserved') return;
      } catch (error) {
        if (!isConflict(error)) throw error;
        continue;
      }
      await Promise.race([changed, allTaken(entries)]);
    }
  }
  function allTaken(entries: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = setting.server.storage.listen(check);
      function check(): void {
        if (taken() < entries) return;
        stop();
        resolve();
      }
      check();
    });
  }
});
