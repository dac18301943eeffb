/** The operators themselves. */
import { rm, writeFile } from 'node:fs/promises';
import { momentsOf, WAY, WAY_BACK } from '../../../operator/framework/failpoint.ts';
import type { Manager } from '../manager.ts';
import type { World } from '../world.ts';
import type { Fault } from './fault.ts';

const STEPS = [...new Set([...WAY, ...WAY_BACK].flatMap(momentsOf))];

async function leaderOf({ managers }: World): Promise<Manager | undefined> {
  const leading = await Promise.all(managers.map((manager) => manager.leads()));
  return managers[leading.indexOf(true)];
}

/** Faults that end a leader. */
export const leaderFaults: Fault[] = [
  {
    name: 'leader killed',
    lasts: 0,
    begin: async ({ world }) => {
      await (await leaderOf(world))?.kill();
      return undefined;
    },
  },
  {
    name: 'leaders killed at a step of a machine',
    lasts: 6_000,
    begin: async ({ world: { armed }, random }) => {
      await writeFile(armed, `${random.of(STEPS)}#${random.integer(1, 3)}`);
      return () => rm(armed, { force: true });
    },
  },
  {
    name: 'leader replaced (SIGTERM)',
    lasts: 0,
    begin: async ({ world }) => {
      await (await leaderOf(world))?.replace();
      return undefined;
    },
  },
  {
    name: 'leader frozen until another one leads',
    lasts: 8_000,
    begin: async ({ world }) => {
      const leader = await leaderOf(world);
      leader?.freeze();
      return () => leader?.thaw();
    },
  },
];

export const operatorFaults: Fault[] = [
  {
    name: 'an operator without leader election beside them, killed',
    lasts: 6_000,
    begin: async ({ world: { rogue } }) => {
      if (rogue.pid !== undefined) return undefined;
      await rogue.start();
      return async () => {
        const killed = rogue.stop();
        await rogue.kill();
        await killed;
      };
    },
  },
  {
    name: "the operators' clocks moved by three hours",
    lasts: 6_000,
    begin: async ({ world: { managers } }) => {
      await Promise.all(managers.map((manager) => manager.setClock('+3h')));
      return async () => {
        await Promise.all(managers.map((manager) => manager.setClock('+0')));
      };
    },
  },
];
