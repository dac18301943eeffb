/** The operator itself. */
import type { Fault } from './fault.ts';

export const operatorFaults: Fault[] = [
  {
    name: 'operator killed',
    lasts: 0,
    begin: async ({ world: { manager } }) => {
      await manager.kill();
      return undefined;
    },
  },
  {
    name: 'a second operator, killed',
    lasts: 6_000,
    begin: async ({ world: { second } }) => {
      if (second.pid !== undefined) return undefined;
      await second.start();
      return async () => {
        const killed = second.stop();
        await second.kill();
        await killed;
      };
    },
  },
  {
    name: "the operator's clock moved by three hours",
    lasts: 6_000,
    begin: async ({ world: { manager } }) => {
      await manager.setClock('+3h');
      return () => manager.setClock('+0');
    },
  },
];
