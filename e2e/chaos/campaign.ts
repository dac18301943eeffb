/** The order of a campaign: faults while machines come and go, then quiet, until everything is as it is declared. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StartedEnvironment } from '../env/environment.ts';
import { gateway } from '../env/network.ts';
import { converge, type Converged } from './converge.ts';
import { apiServerFaults } from './faults/api-server.ts';
import type { Fault, Mend, Scene } from './faults/fault.ts';
import { hostFaults } from './faults/hosts.ts';
import { networkFaults } from './faults/network.ts';
import { objectFaults } from './faults/objects.ts';
import { leaderFaults, operatorFaults } from './faults/operator.ts';
import { Keeper } from './keeper.ts';
import type { Held } from './probe.ts';
import { Random } from './random.ts';
import { Witness } from './witness.ts';
import { Workload } from './workload.ts';
import { createWorld, LEASE_NAMESPACE, type World } from './world.ts';

export interface CampaignOptions {
  seed: number;
  /** How long faults are injected, ms. */
  duration: number;
  hosts: number;
  /** Of the operator, with failpoints. */
  program: string;
  say: (text: string) => void;
}

export interface Report {
  seed: number;
  machines: { made: number; ready: number };
  faults: Record<string, number>;
  checks: Record<string, number>;
  violations: string[];
  /** How operators ended: exit code or signal -> how often. */
  operatorEnds: Record<string, number>;
  /** After each part of the campaign. */
  converged: Converged[];
  /** By one process, at the beginning and at the end of the part in which none is ended. */
  held: Held[];
}

const SURVIVED: Fault[] = [...operatorFaults, ...apiServerFaults, ...networkFaults, ...hostFaults, ...objectFaults];
const FAULTS: Fault[] = [...leaderFaults, ...SURVIVED];

/** A part of a campaign, at the end of which everything converges. */
interface Part {
  duration: number;
  faults: Fault[];
}

/** A long campaign leaves the leader alone after four minutes, so that what it leaks adds up from the fifth to the end. */
const UNTIL_CALM = 240_000;
const UNTIL_MEASURED = 60_000;

const LEASE = ['--leader-elect', `--leader-election-namespace=${LEASE_NAMESPACE}`];
/** Leaders that are often ended are soon replaced. */
const SHORT_LEASE = ['6s', '4500ms', '1s'];
const leaderElection = ([duration, deadline, period]: string[]): string[] => [
  ...LEASE,
  `--leader-elect-lease-duration=${duration}`,
  `--leader-elect-renew-deadline=${deadline}`,
  `--leader-elect-retry-period=${period}`,
];

export async function run(environment: StartedEnvironment, options: CampaignOptions): Promise<Report> {
  const world = await createWorld(environment, options.hosts, options.program);
  const address = gateway(environment.state.hosting?.network.prefix ?? '');
  const workload = new Workload(world, new Random(options.seed + 1), address);
  const keeper = new Keeper(world, workload);
  const witness = new Witness(world);
  await startAll(world, leaderElection(SHORT_LEASE));
  await workload.create(Math.ceil(options.hosts / 2));
  witness.start();
  keeper.start();
  const report = await injectInParts({ world, workload, random: new Random(options.seed) }, witness, options);
  witness.inspectConnections();
  await witness.inspectHosts();
  await witness.stop();
  await keeper.stop();
  await stopAll(world);
  for (const { relay } of world.places) relay.close();
  world.proxy.close();
  const operators = [...world.managers, world.rogue];
  const ends = operators.flatMap((operator) => operator.ends);
  witness.inspectEnds(ends);
  return {
    seed: options.seed,
    machines: { made: witness.machinesSeen, ready: witness.machinesReady },
    ...report,
    checks: Object.fromEntries(witness.checks),
    violations: [
      ...witness.violations,
      ...witness.unchecked('nothing leaks', 'a failure has its cause').map((invariant) => `never checked: ${invariant}`),
      ...operators.flatMap((operator) => operator.bugs),
    ],
    operatorEnds: countsOf(ends.map(String)),
  };
}

const countsOf = (words: string[]): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(words, (word) => word)].map(([word, all]) => [word, all.length]));

const startAll = ({ managers }: World, args: string[]) => Promise.all(managers.map((manager) => manager.start(args)));
const stopAll = ({ managers }: World) => Promise.all(managers.map((manager) => manager.stop()));

async function injectInParts(
  scene: Scene,
  witness: Witness,
  options: CampaignOptions,
): Promise<Pick<Report, 'faults' | 'converged' | 'held'>> {
  const faults: Record<string, number> = {};
  const converged: Converged[] = [];
  const held: Held[] = [];
  const part = async ({ duration, faults: among }: Part) => {
    await injectAll(scene, { ...options, duration, among, longest: options.duration / 10, counts: faults });
    converged.push(await converge(scene, witness, options));
  };
  const calm = options.duration - UNTIL_CALM - UNTIL_MEASURED;
  if (calm <= 0) {
    await part({ duration: options.duration, faults: FAULTS });
    return { faults, converged, held };
  }
  await part({ duration: UNTIL_CALM, faults: FAULTS });
  options.say('from now on the leader is left alone');
  await stopAll(scene.world);
  await startAll(scene.world, LEASE);
  for (const duration of [UNTIL_MEASURED, calm]) {
    await part({ duration, faults: SURVIVED });
    held.push(await heldByLeader(scene.world));
    options.say(`the leader holds ${JSON.stringify(held.at(-1))}`);
  }
  const [before, after] = held as [Held, Held];
  for (const what of ['heap', 'descriptors'] as const) witness.compare(what, before[what], after[what]);
  // A machine may wait for one thing at the moment: a backoff, a workload cluster that is not there.
  witness.compare('timers', before.timers, after.timers, options.hosts);
  return { faults, converged, held };
}

async function heldByLeader({ managers }: World): Promise<Held> {
  const leading = await Promise.all(managers.map((manager) => manager.leads()));
  const leader = managers[leading.indexOf(true)];
  if (leader === undefined) throw new Error('none of the operators leads');
  return leader.held();
}

/** Every kind once before any comes again, in an order that the seed decides. */
function* deck(faults: Fault[], random: Random): Generator<Fault> {
  for (;;) {
    const left = [...faults];
    while (left.length > 0) yield left.splice(random.integer(0, left.length - 1), 1)[0] as Fault;
  }
}

interface Injection extends CampaignOptions {
  among: Fault[];
  /** Longest time that a fault lasts, ms. */
  longest: number;
  /** Name of a fault -> how often it was injected. */
  counts: Record<string, number>;
}

/** Resolves when the last fault is mended. */
async function injectAll(scene: Scene, { duration, longest, among, counts, say }: Injection): Promise<void> {
  const active = new Map<string, Promise<void>>();
  const stop = new AbortController();
  const working = scene.workload.go(stop.signal);
  const end = performance.now() + duration;
  for (const fault of deck(among, scene.random)) {
    const gap = scene.random.integer(200, 2_500);
    const lasts = scene.random.integer(500, Math.max(500, Math.min(fault.lasts, longest)));
    // Of its own, so that what one fault finds to do decides nothing about the next.
    const random = new Random(scene.random.integer(0, 2 ** 31 - 1));
    await sleep(gap);
    if (performance.now() > end) break;
    if (active.has(fault.name)) continue;
    const mend = await fault.begin({ ...scene, random });
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
}

async function later(milliseconds: number, mend: Mend): Promise<void> {
  await sleep(milliseconds);
  await mend();
}
