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
import { Manager, type ManagerOptions } from './manager.ts';
import { Relay } from '../env/relay.ts';
import { readFile } from 'node:fs/promises';

export const NAMESPACE = 'chaos';
export const POOL = 'chaos';
export const KEY = 'pool-key';

/** A host of the pool, which the operator reaches by its relay alone. */
export interface Place {
  entry: string;
  host: Host;
  relay: Relay;
  /** A fault that switches it off and on has it. */
  taken: boolean;
}

export interface World {
  environment: StartedEnvironment;
  /** The test's own, which the faults don't touch. */
  client: Client;
  objects: Objects;
  places: Place[];
  proxy: ApiProxy;
  manager: Manager;
  /** Another operator beside the first, as after a rollout that went wrong; started by a fault. */
  second: Manager;
  /** Private keys that every host lets in, the first at the beginning. */
  keys: string[];
}

/** Megabytes of a host's disk: room for everything of a run, and quickly filled. */
const DISK = 24;

export async function createWorld(
  environment: StartedEnvironment,
  hosts: number,
  manager: Pick<ManagerOptions, 'program' | 'env'>,
): Promise<World> {
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
      entry: `host-${String(i).padStart(3, '0')}`,
      host,
      relay: await Relay.start(host, address),
      taken: false,
    })),
  );
  const proxy = await ApiProxy.start(controlPlane);
  const options = { environment, server: proxy.url, program: manager.program };
  return {
    environment,
    client,
    objects: new Objects(NAMESPACE),
    places,
    proxy,
    manager: new Manager({ ...options, name: 'operator', env: manager.env ?? {} }),
    second: new Manager({ ...options, name: 'operator-second' }),
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
