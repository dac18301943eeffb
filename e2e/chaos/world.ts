/** Everything that a campaign acts on. */
import { join } from 'node:path';
import type { Client } from '../env/client.ts';
import { createKeyPair } from '../env/disk.ts';
import type { StartedEnvironment } from '../env/environment.ts';
import type { Host } from '../env/hosts.ts';
import { gateway } from '../env/network.ts';
import { installManifests } from '../env/operator.ts';
import { Objects } from '../fixtures/objects.ts';
import { ApiProxy } from '../env/api-proxy.ts';
import { Manager } from './manager.ts';
import { Relay } from '../env/relay.ts';
import { readFile } from 'node:fs/promises';

export const NAMESPACE = 'chaos';
export const POOL = 'chaos';
/** Where the Lease is: the manifests grant the right to it there. */
export const LEASE_NAMESPACE = 'cluster-api-provider-remote-system';
export const KEY = 'pool-key';

/** A host, which the operators reach by its relay alone. */
export interface Place {
  /** Of its entry in the pool, and of the machines that name it. */
  name: string;
  /** Else its machines name it themselves. */
  pooled: boolean;
  host: Host;
  relay: Relay;
  /** A fault that may not meet another one on the host has it. */
  taken: boolean;
  /** Names of the faults that befell the host so far. */
  befell: Set<string>;
}

export interface World {
  environment: StartedEnvironment;
  /** The test's own, which the faults don't touch. */
  client: Client;
  objects: Objects;
  places: Place[];
  proxy: ApiProxy;
  /** Two that lead by a Lease. */
  managers: Manager[];
  /** Another operator beside them that asks nobody, as after an installation that went wrong; started by a fault. */
  rogue: Manager;
  /** See ManagerOptions. */
  armed: string;
  /** Private keys that every host lets in, the first at the beginning. */
  keys: string[];
}

/** Every so many hosts one is in no pool. */
const EXPLICIT = 5;
/** Megabytes of a host's disk: room for everything of a run, and quickly filled. */
const DISK = 24;

export async function createWorld(environment: StartedEnvironment, hosts: number, program: string): Promise<World> {
  const { client, state, controlPlane } = environment;
  client.rest.patience = 60_000;
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await installManifests(client);
  const keys = await createKeys(state.run.folder);
  const authorizedKeys = keys.map(({ publicKey }) => publicKey);
  const made = await environment.createHosts(hosts, { authorizedKeys, diskSize: DISK });
  const address = gateway(state.hosting?.network.prefix ?? '');
  const places = await Promise.all(
    made.map(async (host, i) => ({
      name: `host-${String(i).padStart(3, '0')}`,
      pooled: i % EXPLICIT !== 0,
      host,
      relay: await Relay.start(host, address),
      taken: false,
      befell: new Set<string>(),
    })),
  );
  const proxy = await ApiProxy.start(controlPlane);
  const armed = join(state.run.folder, 'armed');
  const manager = (name: string): Manager => new Manager({ environment, server: proxy.url, program, armed, name });
  return {
    environment,
    client,
    objects: new Objects(NAMESPACE),
    places,
    proxy,
    managers: [manager('operator-a'), manager('operator-b')],
    rogue: manager('operator-rogue'),
    armed,
    keys: keys.map(({ privateKey }) => privateKey),
  };
}

async function createKeys(folder: string): Promise<{ privateKey: string; publicKey: string }[]> {
  return Promise.all(
    ['first', 'second'].map(async (name) => {
      const path = join(folder, `chaos-${name}`);
      await createKeyPair(path);
      return { privateKey: await readFile(path, 'utf8'), publicKey: await readFile(`${path}.pub`, 'utf8') };
    }),
  );
}
