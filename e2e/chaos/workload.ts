/** What people do meanwhile: a MachineDeployment that grows and shrinks, and machines that are deleted. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnyObject, Manifest } from '../env/client.ts';
import { CLUSTER_API } from '../fixtures/objects.ts';
import { cleanUpCommands, historic, HISTORY } from '../fixtures/pool.ts';
import type { Random } from './random.ts';
import { KEY, NAMESPACE, type Place, POOL, type World } from './world.ts';

export const DEPLOYMENT = 'workers';
const CLUSTER = 'chaos';
export const DATA = 'workers';

export const bootstrapData = ({ objects }: World): Manifest =>
  objects.bootstrapData(DATA, historic(['sleep 1', `echo done {{ ds.meta_data.instance_id }} >> ${HISTORY}`]));

export const keySecret = (world: World, which: number): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: NAMESPACE, name: KEY },
  stringData: { value: world.keys[which] ?? '' },
});

export const entryOfPlace = ({ objects }: World, { entry, host, relay }: Place, address: string): Manifest =>
  objects.entry(entry, POOL, host, { address, port: relay.port, cleanUpCommands });

/** Replaces what failed for good, as it does in production. */
const healthCheck = (): Manifest => ({
  apiVersion: CLUSTER_API,
  kind: 'MachineHealthCheck',
  metadata: { namespace: NAMESPACE, name: DEPLOYMENT },
  spec: {
    clusterName: CLUSTER,
    selector: { matchLabels: { 'e2e/deployment': DEPLOYMENT } },
    checks: {
      nodeStartupTimeoutSeconds: 0,
      unhealthyMachineConditions: [{ type: 'InfrastructureReady', status: 'False', timeoutSeconds: 0 }],
    },
  },
});

/** Whether so many milliseconds pass before the signal. */
const passes = async (milliseconds: number, signal: AbortSignal): Promise<boolean> => {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
  return !signal.aborted;
};

export class Workload {
  readonly #world: World;
  readonly #random: Random;
  /** Address of the relays. */
  readonly #address: string;

  constructor(world: World, random: Random, address: string) {
    this.#world = world;
    this.#random = random;
    this.#address = address;
  }

  get #deployment() {
    return this.#world.objects.clusterRef('MachineDeployment', DEPLOYMENT);
  }

  async create(replicas: number): Promise<void> {
    const { client, objects, places } = this.#world;
    await client.applyAll([
      keySecret(this.#world, 0),
      bootstrapData(this.#world),
      ...objects.cluster(CLUSTER),
      ...places.map((place) => this.entry(place)),
      objects.template(DEPLOYMENT, { pool: POOL }),
      objects.machineDeployment(DEPLOYMENT, CLUSTER, { template: DEPLOYMENT, dataSecretName: DATA, replicas }),
      healthCheck(),
    ]);
  }

  entry(place: Place): Manifest {
    return entryOfPlace(this.#world, place, this.#address);
  }

  async scale(replicas: number): Promise<void> {
    await this.#world.client.patch(this.#deployment, { spec: { replicas } });
  }

  /** Goes on until the signal, at random moments. */
  async go(signal: AbortSignal): Promise<void> {
    const { places, client } = this.#world;
    for (;;) {
      const next = this.#random.integer(300, 2_500);
      const what = this.#random.integer(0, 2);
      const pick = this.#random.integer(0, 1_000);
      if (!(await passes(next, signal))) return;
      if (what === 0) await this.scale(Math.ceil((places.length * (pick % 100)) / 90));
      else await this.#deleteOne(await client.list(this.machines()), pick);
    }
  }

  machines() {
    return { apiVersion: CLUSTER_API, kind: 'Machine', namespace: NAMESPACE };
  }

  async #deleteOne(machines: AnyObject[], pick: number): Promise<void> {
    const machine = machines[pick % Math.max(1, machines.length)];
    if (machine !== undefined) await this.#world.client.delete(this.#world.objects.clusterRef('Machine', machine.metadata.name));
  }

  /** Makes every entry anew that is gone, as Argo CD does it; until the signal. */
  async keepEntries(signal: AbortSignal): Promise<void> {
    const { client, places, objects } = this.#world;
    const { apiVersion, kind } = objects.ref('PooledRemoteMachine', '');
    for await (const all of client.observe({ apiVersion, kind, namespace: NAMESPACE }, signal)) {
      const present = new Set(all.map(({ metadata }) => metadata.name));
      for (const place of places) if (!present.has(place.entry)) await client.apply(this.entry(place));
    }
  }
}
