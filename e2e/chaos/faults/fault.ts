import type { Random } from '../random.ts';
import type { World } from '../world.ts';
import type { Workload } from '../workload.ts';

export interface Scene {
  world: World;
  workload: Workload;
  random: Random;
}

/** What a fault that lasts is ended by. */
export type Mend = () => Promise<void> | void;

export interface Fault {
  /** Unique; printed, and counted by. */
  name: string;
  /** Longest time that it lasts, ms; the campaign chooses less. 0: it is over when it has begun. */
  lasts: number;
  /** What it is done to and how is chosen by `random` alone, at once, so that a seed decides it. */
  begin: (scene: Scene) => Promise<Mend | undefined>;
}
