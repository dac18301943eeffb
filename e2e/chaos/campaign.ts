/** The order of a campaign: faults while machines come and go, then quiet, until everything is as it is declared. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnyObject } from '../env/client.ts';
import type { StartedEnvironment } from '../env/environment.ts';
import { gateway } from '../env/network.ts';
import { type Entry, isFree, isReady } from '../fixtures/pool.ts';
import { apiServerFaults } from './faults/api-server.ts';
import type { Fault, Mend, Scene } from './faults/fault.ts';
import { hostFaults } from './faults/hosts.ts';
import { networkFaults } from './faults/network.ts';
import { objectFaults } from './faults/objects.ts';
import { operatorFaults } from './faults/operator.ts';
import { Random } from './random.ts';
import { Witness } from './witness.ts';
import { createWorld, type World } from './world.ts';
import { Workload } from './workload.ts';

export interface CampaignOptions {
  seed: number;
  /** How long faults are injected, ms. */
  duration: number;
  hosts: number;
  /** Longest time that a fault lasts, ms. */
  longest: number;
  /** Of the operator that is bundled for this. */
  program: string;
  say: (text: string) => void;
}

export interface Report {
  seed: number;
  machines: { made: number; ready: number };
  faults: Record<string, number>;
  checks: Record<string, number>;
  violations: string[];
  operatorEnds: number;
  /** Seconds from the end of the last fault: until every machine is ready, and until every other host is clean and free. */
  converged: { machines: number; hosts: number };
}

const FAULTS: Fault[] = [...operatorFaults, ...apiServerFaults, ...networkFaults, ...hostFaults, ...objectFaults];
/** How long everything may take to be as declared, ms; what takes longer has not converged. */
const PATIENCE = 180_000;

export async function run(environment: StartedEnvironment, options: CampaignOptions): Promise<Report> {
  const world = await createWorld(environment, options.hosts, { program: options.program });
  const address = gateway(environment.state.hosting?.network.prefix ?? '');
  const workload = new Workload(world, new Random(options.seed + 1), address);
  const witness = new Witness(world);
  await world.manager.start();
  await workload.create(Math.ceil(options.hosts / 2));
  witness.start();
  const gitOps = new AbortController();
  const kept = workload.keepEntries(gitOps.signal).catch((error: unknown) => {
    if (!gitOps.signal.aborted) throw error;
  });
  const faults = await injectAll({ world, workload, random: new Random(options.seed) }, options);
  const converged = await converge(world, workload, witness, options);
  await witness.inspectHosts();
  await witness.stop();
  gitOps.abort();
  await kept;
  await world.manager.stop();
  for (const { relay } of world.places) relay.close();
  world.proxy.close();
  return {
    seed: options.seed,
    machines: { made: witness.machinesSeen, ready: witness.machinesReady },
    faults,
    checks: Object.fromEntries(witness.checks),
    violations: [...witness.violations, ...world.manager.bugs, ...world.second.bugs],
    operatorEnds: world.manager.ends.length,
    converged,
  };
}

/** A MachineSet whose API server goes away between the two leaves a RemoteMachine behind that never gets a Machine. */
const hasMachine = ({ metadata }: AnyObject): boolean => metadata.ownerReferences?.some(({ kind }) => kind === 'Machine') === true;

/** Every kind once before any comes again, in an order that the seed decides. */
function* deck(random: Random): Generator<Fault> {
  for (;;) {
    const left = [...FAULTS];
    while (left.length > 0) yield left.splice(random.integer(0, left.length - 1), 1)[0] as Fault;
  }
}

/** Resolves when the last fault is mended. */
async function injectAll(scene: Scene, { duration, longest, say }: CampaignOptions): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const active = new Map<string, Promise<void>>();
  const stop = new AbortController();
  const working = scene.workload.go(stop.signal);
  const end = performance.now() + duration;
  for (const fault of deck(scene.random)) {
    const gap = scene.random.integer(200, 2_500);
    const lasts = scene.random.integer(500, Math.max(500, Math.min(fault.lasts, longest)));
    await sleep(gap);
    if (performance.now() > end) break;
    if (active.has(fault.name)) continue;
    const mend = await fault.begin(scene);
    counts[fault.name] = (counts[fault.name] ?? 0) + 1;
    say(`${fault.name}${mend === undefined ? '' : ` for ${(lasts / 1000).toFixed(1)} s`}`);
    if (mend !== undefined)
      active.set(
        fault.name,
        later(lasts, mend).finally(() => active.delete(fault.name)),
      );
  }
  stop.abort();
  await Promise.all([working, ...active.values()]);
  return counts;
}

async function later(milliseconds: number, mend: Mend): Promise<void> {
  await sleep(milliseconds);
  await mend();
}

async function converge(world: World, workload: Workload, witness: Witness, { hosts, say }: CampaignOptions): Promise<Report['converged']> {
  const since = performance.now();
  const seconds = (): number => Math.round((performance.now() - since) / 100) / 10;
  const replicas = Math.ceil(hosts * 0.6);
  say(`no more faults: ${replicas} machines on ${hosts} hosts`);
  await workload.scale(replicas);
  const { client } = world;
  const ready = (all: AnyObject[]): boolean => {
    const owned = all.filter(hasMachine);
    return owned.length === replicas && owned.every(isReady);
  };
  await witness.expect(client.waitForAll(witness.machines(), ready, PATIENCE));
  const machines = seconds();
  say(`every machine is ready after ${machines} s`);
  const free = (all: Entry[]): boolean => all.filter(isFree).length === hosts - replicas;
  await witness.expect(client.waitForAll<Entry>(witness.entries(), free, PATIENCE));
  say(`every other host is free after ${seconds()} s`);
  return { machines, hosts: seconds() };
}
