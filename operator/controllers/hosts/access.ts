/** From a machine's or an entry's connection fields, and the Secrets that they name, to a way to its host. */
import { CONFIG_MAPS, SECRETS } from '../../../apis/core.ts';
import { REASON } from '../../../apis/infrastructure/conditions.ts';
import { type ConnectionSpec, DEFAULT_PORT, DEFAULT_USER, type RemoteMachineSpec } from '../../../apis/infrastructure/connection.ts';
import type { PooledRemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import type { ConfigMap, KubernetesObject, Secret } from '../../../apis/meta.ts';
import type { Client, Resource } from '../../framework/types.ts';
import type { Trust } from '../../pool/host-key-pins.ts';
import type { HostAccess } from '../../runner/execution.ts';
import { validateHostKeys } from '../../ssh/host-keys.ts';
import type { ExpectedHostKeys, HostKeyPolicy, Hop } from '../../ssh/types.ts';
import { InputError } from './failure.ts';
import { find } from './presence.ts';

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

export interface AccessResult extends HostAccess {
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

  async read(namespace: string, spec: HostSpec, trust: Trust, signal: AbortSignal): Promise<AccessResult> {
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
      const hostKeys = bastionPolicy(bastion.hostKeys, knownHosts, `bastions[${i}].hostKeys`);
      const from = { port: bastion.port ?? DEFAULT_PORT, user: bastion.user ?? DEFAULT_USER };
      const key = keyOfSecret(await secret(bastion.sshKeyRef?.name ?? keyName), `bastions[${i}]`);
      bastions.push({ address: bare(bastion.address), ...from, ...key, hostKeys });
    }
    const hostKeys = hostPolicy(spec.hostKeys, knownHosts, trust);
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
    return getOrInputError<T>(this.#client, resource, namespace, name, 'access', signal);
  }
}

/** The object, or an InputError that names it where it does not exist. */
export async function getOrInputError<T extends KubernetesObject>(
  client: Client,
  resource: Resource,
  namespace: string,
  name: string,
  concerns: InputError['concerns'],
  signal: AbortSignal,
): Promise<T> {
  const found = await find<T>(client, resource, { namespace, name }, signal);
  if (found !== undefined) return found;
  const message = `${resource.kind} ${namespace}/${name} does not exist: create it; it is read again until it does`;
  throw new InputError(REASON.SecretNotFound, message, concerns);
}

function missingKey(kind: string, object: KubernetesObject, key: string): never {
  const { namespace = '', name } = object.metadata;
  throw new InputError(REASON.SecretKeyMissing, `${kind} ${namespace}/${name} has no key \`${key}\`: add it`);
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

/** hostKeys, else known hosts, else what is pinned, else the first one seen; and what a person has accepted. */
function hostPolicy(given: string[] | undefined, knownHosts: string | undefined, { pinned, accepted }: Trust): HostKeyPolicy {
  const named = namedKeys(given, knownHosts, 'hostKeys');
  if (named !== undefined) return { expected: named, accepted, trustOnFirstUse: false };
  const trustOnFirstUse = pinned.length === 0 && accepted.length === 0;
  return { expected: { kind: 'keys', keys: pinned }, accepted, trustOnFirstUse };
}

/** A bastion has no first contact to trust: nothing of ours is on it that would tell it again. */
const bastionPolicy = (given: string[] | undefined, knownHosts: string | undefined, field: string): HostKeyPolicy => ({
  expected: namedKeys(given, knownHosts, field) ?? { kind: 'keys', keys: [] },
  trustOnFirstUse: false,
});

/** What the spec says of host keys; undefined: nothing. */
function namedKeys(given: string[] | undefined, knownHosts: string | undefined, field: string): ExpectedHostKeys | undefined {
  if (given === undefined || given.length === 0) return knownHosts === undefined ? undefined : { kind: 'knownHosts', text: knownHosts };
  const [fault] = validateHostKeys(given);
  if (fault !== undefined) throw new InputError(REASON.HostKeyUnknown, `${field}[${fault.index}] ${fault.problem}; correct it`);
  return { kind: 'keys', keys: given };
}

const bare = (address: string): string => address.replace(/^\[(.*)\]$/, '$1');

const isMovable = (secret: Secret): boolean =>
  MOVE_LABELS.some((label) => secret.metadata.labels?.[label] !== undefined) || (secret.metadata.ownerReferences?.length ?? 0) > 0;
