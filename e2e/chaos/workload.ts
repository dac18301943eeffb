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
/** Label of machines that name their host: which one. */
export const PLACE = 'e2e/place';

export const bootstrapData = ({ objects }: World): Manifest =>
  objects.bootstrapData(DATA, historic(['sleep 1', `echo done {{ ds.meta_data.instance_id }} >> ${HISTORY}`]));

export const keySecret = (world: World, which: number): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: NAMESPACE, name: KEY },
  stringData: { value: world.keys[which] ?? '' },
});

const entryOfPlace = ({ objects }: World, { name, host, relay }: Place, address: string): Manifest =>
  objects.entry(name, POOL, host, { address, port: relay.port, cleanUpCommands });

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
    const { client, objects } = this.#world;
    await client.applyAll([
      keySecret(this.#world, 0),
      bootstrapData(this.#world),
      ...objects.cluster(CLUSTER),
      ...this.pooled.map((place) => this.entry(place)),
      objects.template(DEPLOYMENT, { pool: POOL }),
      objects.machineDeployment(DEPLOYMENT, CLUSTER, { template: DEPLOYMENT, dataSecretName: DATA, replicas }),
      healthCheck(),
    ]);
  }

  get pooled(): Place[] {
    return this.#world.places.filter(({ pooled }) => pooled);
  }

  entry(place: Place): Manifest {
    return entryOfPlace(this.#world, place, this.#address);
  }

  async scale(replicas: number): Promise<void> {
    await this.#world.client.patch(this.#deployment, { spec: { replicas } });
  }

  /** Goes on until the signal, at random moments. More hosts see more of it. */
  async go(signal: AbortSignal): Promise<void> {
    const { places, client } = this.#world;
    for (;;) {
      const next = this.#random.integer(300, 2_500);
      const what = this.#random.integer(0, 2);
      const picks = Array.from({ length: this.#random.integer(1, Math.ceil(places.length / 12)) }, () => this.#random.integer(0, 1_000));
      if (!(await passes(next, signal))) return;
      const [first = 0] = picks;
      if (what === 0) await this.scale(Math.ceil((this.pooled.length * (first % 100)) / 90));
      else await this.#delete(await client.list(this.machines()), picks);
    }
  }

  machines() {
    return { apiVersion: CLUSTER_API, kind: 'Machine', namespace: NAMESPACE };
  }

  async #delete(machines: AnyObject[], picks: number[]): Promise<void> {
    const names = new Set(picks.flatMap((pick) => machines[pick % Math.max(1, machines.length)]?.metadata.name ?? []));
    await Promise.all([...names].map((name) => this.#world.client.delete(this.#world.objects.clusterRef('Machine', name))));
  }

  /** A machine that names its host, with a name of its own. */
  explicit({ name: place, relay }: Place, name: string): Manifest[] {
    const { objects } = this.#world;
    const metadata = { labels: { [PLACE]: place } };
    const spec = { address: this.#address, port: relay.port, sshKeyRef: { name: KEY }, cleanUpCommands };
    const machine = objects.machine(name, CLUSTER, { bootstrap: { dataSecretName: DATA } });
    return [objects.remoteMachine(name, spec, metadata), { ...machine, metadata: { ...machine.metadata, ...metadata } }];
  }
}
