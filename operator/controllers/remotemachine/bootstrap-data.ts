/** From the bootstrap Secret to a plan, and to the texts of it that no output may repeat. */
import { SECRETS } from '../../../apis/core.ts';
import { REASON } from '../../../apis/infrastructure/conditions.ts';
import type { Secret } from '../../../apis/meta.ts';
import {
  type BootstrapData,
  type CommandStep,
  type HostSystem,
  type InstanceData,
  type Plan,
  type Planner,
  type PowerStep,
} from '../../bootstrap/plan.ts';
import { secretTexts } from '../../bootstrap/secret-texts.ts';
import { secretFilter } from '../../framework/redaction.ts';
import type { Client } from '../../framework/types.ts';
import type { HostAccess } from '../../runner/execution.ts';
import type { HostSaid } from '../../runner/types.ts';
import { getOrInputError } from '../hosts/access.ts';
import { InputError } from '../hosts/failure.ts';

export interface StoredData extends BootstrapData {
  /** Resource version of the Secret. */
  version: string;
}

export async function readBootstrapData(client: Client, namespace: string, name: string, signal: AbortSignal): Promise<StoredData> {
  const secret = await getOrInputError<Secret>(client, SECRETS, namespace, name, 'data', signal);
  const value = secret.data?.['value'];
  if (value === undefined) {
    const message = `Bootstrap Secret ${namespace}/${name} has no key \`value\`: look at the bootstrap provider, or add it`;
    throw new InputError(REASON.SecretKeyMissing, message, 'data');
  }
  const format = secret.data?.['format'];
  return {
    value: Buffer.from(value, 'base64'),
    version: secret.metadata.resourceVersion,
    ...(format !== undefined && { format: Buffer.from(format, 'base64').toString('utf8').trim() }),
  };
}

export interface Instance {
  runID: string;
  name: string;
  failureDomain: string | undefined;
}

/**
 * The plan for a host. Before first contact (without what it says) the machine's name stands for the host's, and a template that names
 * something of the host has none.
 * @throws BootstrapDataError, HostUnknown
 */
export async function planFor(planner: Planner, data: BootstrapData, instance: Instance, said?: HostSaid): Promise<Plan> {
  return planner(data, instanceData(instance, said));
}

export const instanceData = ({ runID, name, failureDomain }: Instance, said?: HostSaid): InstanceData => ({
  hostname: said?.facts.hostname ?? name,
  instanceID: runID,
  ...(failureDomain !== undefined && { failureDomain }),
  ...(said && { system: systemOf(said) }),
});

const systemOf = ({ facts, release, libc }: HostSaid): HostSystem => ({
  kernelRelease: facts.kernel ?? '',
  architecture: facts.architecture ?? '',
  libc,
  release,
});

/** Undefined in place of an error of that class. */
export async function unless<T>(refusal: abstract new (...args: never[]) => Error, awaited: Promise<T>): Promise<T | undefined> {
  try {
    return await awaited;
  } catch (error) {
    if (error instanceof refusal) return undefined;
    throw error;
  }
}

/** The one filter that everything which a host says passes before anyone reads it. */
export interface OutputFilter {
  /** For what a run printed. Without the very data that says what is secret in it, nothing of it is shown. */
  output: (text: string) => string;
  /** For the words of an error. */
  words: (text: string) => string;
}

const textOf = (step: CommandStep | PowerStep): string => (step.kind === 'command' ? step.script : (step.condition ?? ''));

/**
 * Filters what is secret in the data, in the files and commands in it, and in the keys.
 * @param begunWith version of the data that the run was begun with; undefined: nobody knows of another one
 */
export function outputFilter(
  data: StoredData | undefined,
  plan: Plan | undefined,
  access: HostAccess,
  begunWith: string | undefined,
): OutputFilter {
  const decoder = new TextDecoder('utf-8');
  const texts = [access.target, ...access.target.bastions].flatMap(({ privateKey, passphrase }) => [privateKey, passphrase ?? '']);
  if (data !== undefined) texts.push(decoder.decode(data.value));
  for (const step of plan?.steps ?? []) texts.push(step.kind === 'file' ? decoder.decode(step.content) : textOf(step));
  const words = secretFilter(texts.flatMap((text) => [...secretTexts(text)]));
  const isKnown = data !== undefined && (begunWith ?? data.version) === data.version;
  return { output: isKnown ? words : () => '', words };
}
