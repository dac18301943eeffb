/** What a RemoteMachine takes over with its host, as one merge patch: pure. */
import { randomBytes } from 'node:crypto';
import type { ConnectionSpec } from '../../apis/infrastructure/connection.ts';
import { ANNOTATION, MACHINE_FINALIZER } from '../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { mergePatch } from '../framework/patch.ts';
import { wantedIdentity } from './choose.ts';
import { inheritable } from './metadata.ts';

export interface HostChange {
  /** The entry that the machine gets; undefined: it names its host itself, keeps the copy of an entry that is gone, or has no host. */
  to?: PooledRemoteMachine | undefined;
  /** What it had before and loses; `entry` undefined: that one was deleted. */
  from?: { entry: PooledRemoteMachine | undefined } | undefined;
  /** A run is about to start: the machine needs a run ID. */
  startRun: boolean;
}

/** The parts of a machine that change with its host. */
interface Parts {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  spec: NonNullable<RemoteMachine['spec']>;
}

/** Which host it is: of a machine in a pool they are its entry's. */
const HOST_FIELDS = ['address', 'port', 'bastions'] satisfies (keyof ConnectionSpec)[];

/** `[a-z0-9-]{1,63}`, unique for ever: the machine's name for people, and 64 random bits. */
export function newRunID(machineName: string): string {
  const name = machineName.toLowerCase().replace(/[^a-z0-9-]/g, '-');
  return `${name.slice(0, 40).replace(/-+$/, '')}-${randomBytes(8).toString('hex')}`;
}

/** The patch, guarded by the machine's resourceVersion; undefined: the machine is as it should be. */
export function machinePatch(machine: RemoteMachine, { to, from, startRun }: HostChange): object | undefined {
  const { metadata, spec = {} } = machine;
  const { labels = {}, annotations = {}, finalizers = [], resourceVersion, deletionTimestamp } = metadata;
  let parts: Parts = { labels, annotations, spec };
  if (from !== undefined) parts = withoutEntry(parts, from.entry);
  const asked = spec.providerID === undefined ? wantedIdentity(machine) : undefined;
  if (to !== undefined) parts = withEntry(parts, to, asked);
  if (startRun && spec.providerID === undefined && parts.annotations[ANNOTATION.runID] === undefined)
    parts.annotations = { ...parts.annotations, [ANNOTATION.runID]: newRunID(metadata.name) };
  const hasHost = to !== undefined || from === undefined;
  // A finalizer can't be added to an object that is being deleted.
  const holds = hasHost && deletionTimestamp === undefined && !finalizers.includes(MACHINE_FINALIZER);
  const before = { metadata: { labels, annotations, finalizers }, spec };
  const after = {
    metadata: { ...parts, spec: undefined, finalizers: holds ? [...finalizers, MACHINE_FINALIZER] : finalizers },
    // The copy serves when the entry is gone; a provisioned machine's doesn't change any more.
    spec: spec.providerID === undefined ? parts.spec : spec,
  };
  const patch = mergePatch(before, after) as { metadata?: object } | undefined;
  return patch && { ...patch, metadata: { resourceVersion, ...patch.metadata } };
}

/** What came from the entry goes, and so does the run ID: what that host may have under it is none of another's. */
function withoutEntry({ labels, annotations, spec }: Parts, entry: PooledRemoteMachine | undefined): Parts {
  const ours = new Set<string>([ANNOTATION.poolEntry, ANNOTATION.runID]);
  const copied = new Set<string>([...HOST_FIELDS, ...Object.keys(entry?.spec?.machine ?? {})]);
  const own = (values: Record<string, string>, source: Record<string, string> | undefined): Record<string, string> => {
    const given = inheritable(source);
    return Object.fromEntries(Object.entries(values).filter(([key, value]) => given[key] !== value && !ours.has(key)));
  };
  return {
    labels: own(labels, entry?.metadata.labels),
    annotations: own(annotations, entry?.metadata.annotations),
    spec: without(spec, [...copied]),
  };
}

/** Labels and annotations never over an existing value, the connection's values always; which host it is says the entry alone. */
function withEntry({ labels, annotations, spec }: Parts, entry: PooledRemoteMachine, requestedHost: string | undefined): Parts {
  const { metadata } = entry;
  const binding = {
    [ANNOTATION.poolEntry]: metadata.name,
    ...(requestedHost !== undefined && { [ANNOTATION.requestedHost]: requestedHost }),
  };
  return {
    labels: { ...inheritable(metadata.labels), ...labels },
    annotations: { ...inheritable(metadata.annotations), ...annotations, ...binding },
    spec: { ...without(spec, entry.spec === undefined ? [] : HOST_FIELDS), ...entry.spec?.machine },
  };
}

const without = <T extends object>(object: T, fields: readonly string[]): T =>
  Object.fromEntries(Object.entries(object).filter(([field]) => !fields.includes(field))) as T;
