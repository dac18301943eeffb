/** Two managers at once over one API server, in any interleaving. */
import fc from 'fast-check';
import { ANNOTATION } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { entry, machine } from './testing/objects.ts';
import { ENTRIES, MACHINES, Manager, World } from './testing/simulation.ts';

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
