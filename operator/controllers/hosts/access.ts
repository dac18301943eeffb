/** From a machine's or an entry's connection fields, and the Secrets that they name, to a way to its host. */
import { CONFIG_MAPS, SECRETS } from '../../../apis/core.ts';
import { REASON } from '../../../apis/infrastructure/conditions.ts';
import { type ConnectionSpec, DEFAULT_PORT, DEFAULT_USER, type RemoteMachineSpec } from '../../../apis/infrastructure/connection.ts';
import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import type { ConfigMap, KubernetesObject, Secret } from '../../../apis/meta.ts';
import { type Client, isNotFound, type Resource } from '../../framework/types.ts';
import type { HostAccess } from '../../runner/execution.ts';
import type { HostKeyPolicy, Hop } from '../../ssh/types.ts';
import { InputError } from './failure.ts';

/** Where a host is and how it is treated: what both kinds have in common. */
export type HostSpec = ConnectionSpec;

/**
 * The fields that hold for a machine: its entry's live values win over the copy, as keys rotate; address and bastions are
 * the entry's alone, as they say which host it is. Undefined: the machine has no host.
 */
export function hostSpecOf(machine: RemoteMachineSpec | undefined, entry: PooledRemoteMachine | undefined): HostSpec | undefined {
  if (entry?.spec !== undefined) {
    const { address, port, bastions, ...treatment } = entry.spec.machine;
    return { ...machine, ...treatment, address, port, bastions };
  }
  return machine?.address === undefined ? undefined : { ...machine, address: machine.address };
}

export const cleanUpCommandsOf = (spec: HostSpec | undefined): string[] | undefined => spec?.cleanUpCommands ?? spec?.customCleanUpCommands;

type Pinnable = RemoteMachine | PooledRemoteMachine | undefined;

/** Host keys pinned or accepted by annotation: the machine's pin, else its entry's; and what a person accepts on either. */
export function pinnedKeys(machine: Pinnable, entry: Pinnable): string[] {
  const pin = (object: Pinnable): string | undefined => object?.metadata.annotations?.[ANNOTATION.hostKey] ?? object?.status?.host?.hostKey;
  const accepted = [machine, entry].map((object) => object?.metadata.annotations?.[REQUEST.acceptHostKey]);
  return [pin(machine) ?? pin(entry), ...accepted].filter((key): key is string => key !== undefined && key !== '');
}

export interface AccessResult extends HostAccess {
  /** Whether the host key is to be pinned after contact. */
  pins: boolean;
  /** Names of Secrets with an SSH key that lack the label by which clusterctl move takes them along. */
  notMovable: string[];
}

const MOVE_LABELS = ['clusterctl.cluster.x-k8s.io/move', 'clusterctl.cluster.x-k8s.io/move-hierarchy'];

/** Reads the Secrets and ConfigMaps that a host spec names, each once. Rejects with InputError for what a person has to mend. */
export class AccessReader {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async read(namespace: string, spec: HostSpec, pinned: string[], signal: AbortSignal): Promise<AccessResult> {
    const secrets = new Map<string, Promise<Secret>>();
    const secret = (name: string): Promise<Secret> => {
      const known = secrets.get(name) ?? this.#get<Secret>(SECRETS, namespace, name, signal);
      secrets.set(name, known);
      return known;
    };
    const keyName = spec.sshKeyRef?.name;
    if (keyName === undefined || keyName === '')
      throw new InputError(REASON.SSHKeyRefMissing, 'Nothing names an SSH key: set sshKeyRef.name');
    const knownHosts = spec.knownHostsRef === undefined ? undefined : await this.#knownHosts(namespace, spec.knownHostsRef, signal);
    const bastions: Hop[] = [];
    for (const [i, bastion] of (spec.bastions ?? []).entries()) {
      const hostKeys = policy(bastion.hostKeys, knownHosts, [], false);
      const from = { port: bastion.port ?? DEFAULT_PORT, user: bastion.user ?? DEFAULT_USER };
      const key = keyOfSecret(await secret(bastion.sshKeyRef?.name ?? keyName), `bastions[${i}]`);
      bastions.push({ address: bare(bastion.address), ...from, ...key, hostKeys });
    }
    const hostKeys = policy(spec.hostKeys, knownHosts, pinned, true);
    const target = {
      address: bare(spec.address),
      port: spec.port ?? DEFAULT_PORT,
      user: spec.user ?? DEFAULT_USER,
      ...keyOfSecret(await secret(keyName), 'sshKeyRef'),
      hostKeys,
      bastions,
    };
    const notMovable: string[] = [];
    for (const [name, read] of secrets) if (!isMovable(await read)) notMovable.push(name);
    return {
      target,
      privilege: spec.useSudo === true ? 'sudo' : 'plain',
      pins: spec.hostKeys === undefined && knownHosts === undefined,
      notMovable,
    };
  }

  async #knownHosts(namespace: string, ref: { kind: string; name: string }, signal: AbortSignal): Promise<string> {
    if (ref.kind === 'ConfigMap') {
      const map = await this.#get<ConfigMap>(CONFIG_MAPS, namespace, ref.name, signal);
      return map.data?.['known_hosts'] ?? missingKey('ConfigMap', map, 'known_hosts');
    }
    const secret = await this.#get<Secret>(SECRETS, namespace, ref.name, signal);
    return decoded(secret, 'known_hosts') ?? missingKey('Secret', secret, 'known_hosts');
  }

  async #get<T extends KubernetesObject>(resource: Resource, namespace: string, name: string, signal: AbortSignal): Promise<T> {
    return getOrInputError<T>(this.#client, resource, namespace, name, signal);
  }
}

/** The object, or an InputError that names it where it does not exist. */
export async function getOrInputError<T extends KubernetesObject>(
  client: Client,
  resource: Resource,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<T> {
  try {
    return await client.get<T>(resource, { namespace, name }, signal);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new InputError(REASON.SecretNotFound, `${resource.kind} ${namespace}/${name} does not exist; it is read again until it does`);
  }
}

function missingKey(kind: string, object: KubernetesObject, key: string): never {
  const { namespace = '', name } = object.metadata;
  throw new InputError(REASON.SecretKeyMissing, `${kind} ${namespace}/${name} has no key \`${key}\``);
}

/** Text of a Secret's key; undefined: it has none. */
export function decoded(secret: Secret, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

function keyOfSecret(secret: Secret, where: string): Pick<Hop, 'privateKey' | 'passphrase'> {
  const privateKey = decoded(secret, 'value');
  if (privateKey === undefined) return missingKey(`${where}: Secret`, secret, 'value');
  const passphrase = decoded(secret, 'passphrase');
  return { privateKey, ...(passphrase !== undefined && passphrase !== '' && { passphrase }) };
}

/** hostKeys, else known hosts, else what is pinned, else (for the host itself) the first one seen. */
function policy(given: string[] | undefined, knownHosts: string | undefined, pinned: string[], trustFirst: boolean): HostKeyPolicy {
  if (given !== undefined && given.length > 0) return { expected: { kind: 'keys', keys: given }, trustOnFirstUse: false };
  if (knownHosts !== undefined) return { expected: { kind: 'knownHosts', text: knownHosts }, trustOnFirstUse: false };
  return { expected: { kind: 'keys', keys: pinned }, trustOnFirstUse: trustFirst && pinned.length === 0 };
}

const bare = (address: string): string => address.replace(/^\[(.*)\]$/, '$1');

const isMovable = (secret: Secret): boolean =>
  MOVE_LABELS.some((label) => secret.metadata.labels?.[label] !== undefined) || (secret.metadata.ownerReferences?.length ?? 0) > 0;
