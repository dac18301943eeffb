/** What has to come true with no hand on it once there are no more faults, and what it waits for. */
import type { AnyObject } from '../env/client.ts';
import { conditionOf, type Entry, isFree, isReady } from '../fixtures/pool.ts';
import type { Scene } from './faults/fault.ts';
import type { Witness } from './witness.ts';

/** Seconds from the end of the last fault: until every machine is ready, and until every other host is clean and free. */
export interface Converged {
  /** Until Cluster API core, which was hit by the same faults, had asked for the last of it: a machine more, its owner, or its end. */
  asked: number;
  machines: number;
  hosts: number;
}

/** How long everything may take to be as declared, ms; what takes longer has not converged. */
const PATIENCE = 180_000;
/** How often it is told what is awaited, ms. */
const PROGRESS = 5_000;

/** A MachineSet whose API server goes away between the two leaves a RemoteMachine behind that never gets a Machine. */
const hasMachine = ({ metadata }: AnyObject): boolean => metadata.ownerReferences?.some(({ kind }) => kind === 'Machine') === true;

/** What an object says that it waits for. */
const waitOf = (object: AnyObject): string => {
  const { reason, message } = conditionOf(object, 'Ready') ?? {};
  const { deletionTimestamp, finalizers = [] } = object.metadata;
  const deleting = deletionTimestamp === undefined ? '' : ` (being deleted, held by ${finalizers.join(' and ')})`;
  return `${object.metadata.name}${deleting}: ${reason ?? 'no condition yet'}: ${message ?? ''}`.trim();
};

export async function converge({ world, workload }: Scene, witness: Witness, { say }: { say: (text: string) => void }): Promise<Converged> {
  const since = performance.now();
  const seconds = (): number => Math.round((performance.now() - since) / 100) / 10;
  const { client, places } = world;
  const pooled = workload.pooled.length;
  const replicas = Math.ceil(pooled * 0.6);
  const wanted = replicas + places.length - pooled;
  say(`no more faults: ${wanted} machines on ${places.length} hosts`);
  await workload.scale(replicas);
  const awaited = new Awaited(say);
  const wants = new Set<string>();
  let asked = 0;
  const ready = (all: AnyObject[]): boolean => {
    const owned = all.filter(hasMachine);
    const known = wants.size;
    for (const { metadata } of owned) wants.add(`${metadata.uid} ${metadata.deletionTimestamp ?? ''}`);
    if (wants.size > known) asked = seconds();
    awaited.set(owned.filter((machine) => !isReady(machine)));
    return owned.length === wanted && owned.every(isReady);
  };
  await witness.expect(client.waitForAll(witness.machines(), ready, PATIENCE));
  const machines = seconds();
  say(`every machine is ready after ${machines} s; Cluster API core had asked for the last of it after ${asked} s`);
  const free = (all: Entry[]): boolean => {
    awaited.set(all.filter((entry) => entry.status?.reserved !== true && !isFree(entry)));
    return all.filter(isFree).length === pooled - replicas;
  };
  await witness.expect(client.waitForAll<Entry>(witness.entries(), free, PATIENCE));
  awaited.end();
  say(`every other host is free after ${seconds()} s`);
  return { asked, machines, hosts: seconds() };
}

/** Tells from time to time what is not as it will be. */
class Awaited {
  #objects: AnyObject[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(say: (text: string) => void) {
    this.#timer = setInterval(() => {
      const [first, ...rest] = this.#objects;
      if (first !== undefined) say(`waiting for ${waitOf(first)}${rest.length === 0 ? '' : `, and ${rest.length} more`}`);
    }, PROGRESS);
  }

  set(objects: AnyObject[]): void {
    this.#objects = objects;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
