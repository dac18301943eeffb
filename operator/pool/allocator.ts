/**
 * Binds machines to entries and frees them, in guarded writes: the machine names the entry (which survives a move, where
 * status does not), the entry's status names the machine, which decides who has it, and only then the machine takes over
 * what belongs to the entry, and its run ID. So a machine without a run ID never had a host that anything was sent to.
 */
import { randomBytes } from 'node:crypto';
import { ANNOTATION, ENTRY_FINALIZER, MACHINE_FINALIZER } from '../../apis/infrastructure/group.ts';
import { CONDITION, REASON, type Reason } from '../../apis/infrastructure/conditions.ts';
import type { ConnectionSpec } from '../../apis/infrastructure/connection.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../apis/infrastructure/resources.ts';
import { keyOf } from '../../apis/meta.ts';
import { mergePatch } from '../framework/patch.ts';
import type { Client } from '../framework/types.ts';
import { choose, type View, wantedIdentity } from './choose.ts';
import { type EntryChange, entryStatus, type EntryMark } from './entry-status.ts';
import { pinPatch, pinsHostKey } from './host-key-pins.ts';
import { identityOfMachine } from './identity.ts';
import { type EntryCache, type MachineCache, obstacle } from './indexes.ts';
import { inherited } from './metadata.ts';

export type Reservation =
  /** The machine has its host. `entry` undefined: it names the host itself, or its entry was deleted and the copy serves. */
  | { kind: 'reserved'; machine: RemoteMachine; entry: PooledRemoteMachine | undefined }
  /** Nothing is bound; `terminal` for input that only a person can mend. */
  | { kind: 'none'; terminal: boolean; reason: Reason; message: string };

export interface ReserveOptions {
  failureDomain: string | undefined;
  /** A run is about to start: give the machine a run ID in the same write if it has none. */
  startRun: boolean;
}

const none = (terminal: boolean, reason: Reason, message: string): Reservation => ({ kind: 'none', terminal, reason, message });

/** `[a-z0-9-]{1,63}`, unique for ever: the machine's name for people, and 64 random bits. */
export function newRunID(machineName: string): string {
  const name = machineName.toLowerCase().replace(/[^a-z0-9-]/g, '-');
  return `${name.slice(0, 40).replace(/-+$/, '')}-${randomBytes(8).toString('hex')}`;
}

/** The entry that a machine has and gives back for another one, and why. */
interface Left {
  key: string;
  mark: EntryMark;
}

/** Which host it is: of a machine in a pool they are its entry's. */
const HOST_FIELDS = ['address', 'port', 'bastions'] satisfies (keyof ConnectionSpec)[];

const namespaceOf = (machine: RemoteMachine): string => machine.metadata.namespace ?? '';

/** Whether the entry's status names the machine; one without a UID is of the peer or of a restored backup, and is known by name. */
export function names(entry: PooledRemoteMachine, machine: Pick<RemoteMachine, 'metadata'>): boolean {
  const ref = entry.status?.machineRef;
  if (entry.status?.reserved !== true || ref === undefined) return false;
  if (ref.uid !== undefined) return ref.uid === machine.metadata.uid;
  return ref.name === machine.metadata.name && ref.namespace === machine.metadata.namespace;
}

export class Allocator {
  readonly #client: Client;
  readonly #entries: EntryCache;
  readonly #machines: MachineCache;
  /** Entry key -> the machine (by UID) whose binding is being written, so that two reconciles at once don't race for one entry. */
  readonly #assumed = new Map<string, { uid: string; settled: Promise<unknown> }>();
  /** Entry key -> when its host last could not be reached, in ms since the process started. */
  readonly #unreachable = new Map<string, number>();
  /** UID of a machine -> key of the entry that this process bound it to and to whose host nothing has been sent yet. */
  readonly #untouched = new Map<string, string>();

  constructor(client: Client, entries: EntryCache, machines: MachineCache) {
    this.#client = client;
    this.#entries = entries;
    this.#machines = machines;
  }

  /**
   * Makes sure that the machine has a host. Idempotent: what is bound stays bound, a binding half written is completed.
   * Rejects with ApiError 409 where somebody else wrote first; the caller reads again.
   */
  async reserve(machine: RemoteMachine, options: ReserveOptions): Promise<Reservation> {
    const name = machine.metadata.annotations?.[ANNOTATION.poolEntry] ?? this.#holding(machine)?.metadata.name;
    if (name !== undefined) return this.#complete(machine, name, options);
    if (machine.spec?.pool !== undefined) return this.#bindFromPool(machine, machine.spec.pool, options);
    if (machine.spec?.address !== undefined) return this.#takeAddress(machine, options);
    return none(true, REASON.NoPoolOrAddress, 'Set spec.pool to take a host from a pool, or spec.address to name one');
  }

  /** Something is about to be sent to the machine's host: from now on it never gets another one. */
  touch(machine: RemoteMachine): void {
    const key = this.#untouched.get(machine.metadata.uid);
    if (key !== undefined) this.#unreachable.delete(key);
    this.#untouched.delete(machine.metadata.uid);
  }

  /**
   * The machine's host could not be reached (and nothing was sent to it): binds the machine to another free entry, if need
   * be the one that was unreachable longest ago, and gives the old one back as unreachable. Undefined: there is no other, or
   * something may have been sent, and the machine stays where it is.
   */
  async moveOn(machine: RemoteMachine, options: ReserveOptions, mark: EntryMark): Promise<Reservation | undefined> {
    const pool = machine.spec?.pool;
    const key = this.#untouched.get(machine.metadata.uid);
    if (key === undefined || pool === undefined) return undefined;
    this.#unreachable.set(key, performance.now());
    const choice = choose({ namespace: namespaceOf(machine), pool, failureDomain: options.failureDomain }, machine, this.#view());
    if (choice.entry === undefined) return undefined;
    return this.#bind(machine, choice.entry, { ...options, startRun: true }, { key, mark });
  }

  /** The machine is gone. */
  forget(uid: string): void {
    this.#untouched.delete(uid);
  }

  /** Whether the entry's host could not be reached the last time; such a one is passed over while another is free. */
  isUnreachable(entry: PooledRemoteMachine): boolean {
    return this.#view().unreachableSince(entry) !== 0;
  }

  /**
   * Gives the entry back after a confirmed cleanup, if it still names the machine. `marks` are conditions written with it;
   * the annotation that the quarantine left and our finalizer go in a second write.
   */
  async release(entry: PooledRemoteMachine, machine: RemoteMachine, marks: EntryMark[], hostKey?: string): Promise<void> {
    if (names(entry, machine)) await this.free(entry, marks, hostKey);
    else await this.settle(entry);
  }

  /** Gives back an entry whose machine is gone. */
  async free(entry: PooledRemoteMachine, marks: EntryMark[], hostKey?: string): Promise<void> {
    await this.settle(await this.#writeStatus(entry, { reserved: false, marks }), hostKey);
  }

  /** Brings an entry's metadata in line with its status: finalizer while reserved, no quarantine once it is free, pinned host key. */
  async settle(entry: PooledRemoteMachine, hostKey?: string): Promise<PooledRemoteMachine> {
    const finalizers = entry.metadata.finalizers ?? [];
    const reserved = entry.status?.reserved === true;
    const held = finalizers.includes(ENTRY_FINALIZER);
    const annotations: Record<string, string | null> = {};
    if (!reserved && entry.metadata.annotations?.[ANNOTATION.quarantined] !== undefined) annotations[ANNOTATION.quarantined] = null;
    if (hostKey !== undefined && entry.spec !== undefined && pinsHostKey(entry.spec.machine))
      Object.assign(annotations, pinPatch(entry, hostKey));
    const wanted = reserved ? [...finalizers, ENTRY_FINALIZER] : finalizers.filter((f) => f !== ENTRY_FINALIZER);
    // A finalizer can't be added to an object that is being deleted.
    const change = reserved !== held && !(reserved && entry.metadata.deletionTimestamp !== undefined);
    if (!change && Object.keys(annotations).length === 0) return entry;
    const { resourceVersion } = entry.metadata;
    const metadata = {
      resourceVersion,
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(change && { finalizers: wanted }),
    };
    const ref = { namespace: entry.metadata.namespace ?? '', name: entry.metadata.name };
    return this.#client.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, ref, { metadata });
  }

  /** Keeps the entry from being handed out until its own controller has confirmed a cleanup of the run. */
  async quarantine(entry: PooledRemoteMachine, runID: string, mark: EntryMark): Promise<PooledRemoteMachine> {
    const ref = { namespace: entry.metadata.namespace ?? '', name: entry.metadata.name };
    const metadata = { annotations: { [ANNOTATION.quarantined]: runID } };
    const noted = await this.#client.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, ref, { metadata });
    return this.#writeStatus(noted, { reserved: true, marks: [mark] });
  }

  /** Writes conditions and facts of an entry, if they changed. */
  async mark(entry: PooledRemoteMachine, change: Omit<EntryChange, 'reserved' | 'machineRef'>): Promise<PooledRemoteMachine> {
    const status = entryStatus(entry, change);
    return mergePatch(entry.status ?? {}, status) === undefined ? entry : this.#writeStatus(entry, change);
  }

  /** The entry that the machine is bound to, while it exists. */
  entryOf(machine: RemoteMachine): PooledRemoteMachine | undefined {
    const name = machine.metadata.annotations?.[ANNOTATION.poolEntry] ?? this.#holding(machine)?.metadata.name;
    return name === undefined ? undefined : this.#entries.get(namespaceOf(machine), name);
  }

  #view(): View {
    return {
      entries: this.#entries,
      machines: this.#machines,
      assumed: (key) => this.#assumed.get(key)?.uid,
      unreachableSince: (entry) => this.#unreachable.get(keyOf(entry)) ?? (saysUnreachable(entry) ? Number.MIN_VALUE : 0),
    };
  }

  #entryByKey(key: string): PooledRemoteMachine | undefined {
    const [namespace = '', name = ''] = key.split('/');
    return this.#entries.get(namespace, name);
  }

  /** The entry whose status names the machine, which decides who has it: the peer writes nothing else. */
  #holding(machine: RemoteMachine): PooledRemoteMachine | undefined {
    const { namespace, name, uid } = machine.metadata;
    const holders = [uid, `${namespace ?? ''}/${name}`];
    return holders.flatMap((holder) => this.#entries.byIndex('holder', holder)).find((entry) => entry.metadata.namespace === namespace);
  }

  async #complete(machine: RemoteMachine, name: string, options: ReserveOptions): Promise<Reservation> {
    const entry = this.#entries.get(namespaceOf(machine), name);
    if (entry !== undefined && names(entry, machine)) return this.#reserved(await this.#named(machine, entry, undefined), entry, options);
    const pool = this.#mayBeTouched(machine) ? undefined : machine.spec?.pool;
    if (entry === undefined) {
      if (pool !== undefined) return this.#bindFromPool(machine, pool, options);
      if (machine.spec?.address !== undefined) return this.#reserved(machine, undefined, options);
      return none(false, REASON.WaitingForHost, `PooledRemoteMachine ${name}, to which the machine is bound, does not exist`);
    }
    const isOpen = entry.status?.reserved !== true || this.#refIsGone(entry, machine);
    if (isOpen && (pool === undefined || [undefined, 'reserved'].includes(obstacle(entry)))) return this.#bind(machine, entry, options);
    if (pool !== undefined) return this.#bindFromPool(machine, pool, options);
    const holder = entry.status?.machineRef;
    const other = `PooledRemoteMachine ${name} is reserved by RemoteMachine ${holder?.namespace ?? '?'}/${holder?.name ?? '?'}`;
    return none(false, REASON.DuplicateHost, other);
  }

  /** A restored or moved machine has a new UID: the reference that has its name and another UID is its own old one. */
  #refIsGone(entry: PooledRemoteMachine, machine: RemoteMachine): boolean {
    const ref = entry.status?.machineRef;
    return ref === undefined || (ref.name === machine.metadata.name && ref.namespace === machine.metadata.namespace);
  }

  /** Without a run ID nothing was sent; with one, only the process that wrote it knows, and of what an earlier one did nothing is assumed. */
  #mayBeTouched(machine: RemoteMachine): boolean {
    if (machine.spec?.providerID !== undefined) return true;
    return machine.metadata.annotations?.[ANNOTATION.runID] !== undefined && !this.#untouched.has(machine.metadata.uid);
  }

  async #bindFromPool(machine: RemoteMachine, pool: string, options: ReserveOptions): Promise<Reservation> {
    const wanted = { namespace: namespaceOf(machine), pool, failureDomain: options.failureDomain, identity: wantedIdentity(machine) };
    while (true) {
      const choice = choose(wanted, machine, this.#view());
      if (choice.entry !== undefined) return this.#bind(machine, choice.entry, options);
      const bindings = this.#entries.byIndex('pool', `${wanted.namespace}/${pool}`).flatMap((e) => this.#assumed.get(keyOf(e)) ?? []);
      if (bindings.length > 0) {
        // One of them may fail, and nobody would tell a machine that waits.
        await Promise.race(bindings.map(({ settled }) => settled));
        continue;
      }
      await this.#unnamed(machine);
      return none(choice.reason === REASON.AddressNotInPool, choice.reason, choice.message);
    }
  }

  async #bind(machine: RemoteMachine, entry: PooledRemoteMachine, options: ReserveOptions, from?: Left): Promise<Reservation> {
    const key = keyOf(entry);
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    this.#assumed.set(key, { uid: machine.metadata.uid, settled });
    try {
      return await this.#write(machine, entry, options, from);
    } finally {
      this.#assumed.delete(key);
      resolve();
    }
  }

  /** The three writes of a binding. */
  async #write(machine: RemoteMachine, entry: PooledRemoteMachine, options: ReserveOptions, from: Left | undefined): Promise<Reservation> {
    const isNew = machine.metadata.annotations?.[ANNOTATION.poolEntry] !== entry.metadata.name;
    // One that asks for this very host does not go on to another.
    const mayMoveOn = isNew && (from !== undefined || wantedIdentity(machine) === undefined);
    const old = from === undefined ? undefined : this.#entryByKey(from.key);
    const named = await this.#named(machine, entry, from === undefined ? undefined : (old?.spec?.machine ?? {}));
    if (from !== undefined && old !== undefined && names(old, machine)) {
      await this.#writeStatus(old, { reserved: false, marks: [from.mark] });
    }
    const taken = await this.#taken(entry, named);
    if (mayMoveOn) this.#untouched.set(machine.metadata.uid, keyOf(entry));
    return this.#reserved(named, taken, options);
  }

  /** First write: finalizer and the entry's name. `before`: what the machine took over from another entry, which goes, as does its run. */
  async #named(machine: RemoteMachine, entry: PooledRemoteMachine, before: Partial<ConnectionSpec> | undefined): Promise<RemoteMachine> {
    const { annotations = {}, finalizers = [], resourceVersion } = machine.metadata;
    const isNew = annotations[ANNOTATION.poolEntry] !== entry.metadata.name;
    const isHeld = finalizers.includes(MACHINE_FINALIZER);
    if (!isNew && isHeld) return machine;
    const metadata = {
      resourceVersion,
      ...(!isHeld && { finalizers: [...finalizers, MACHINE_FINALIZER] }),
      annotations: { [ANNOTATION.poolEntry]: entry.metadata.name, ...(before && { [ANNOTATION.runID]: null }) },
    };
    const emptied = before && Object.fromEntries([...HOST_FIELDS, ...Object.keys(before)].map((key) => [key, null]));
    return this.#patchMachine(machine, { metadata, ...(emptied && { spec: emptied }) });
  }

  /** The entry went to another machine and there is no other: this one waits without any. */
  async #unnamed(machine: RemoteMachine): Promise<void> {
    const { annotations, resourceVersion } = machine.metadata;
    if (annotations?.[ANNOTATION.poolEntry] === undefined) return;
    await this.#patchMachine(machine, { metadata: { resourceVersion, annotations: { [ANNOTATION.poolEntry]: null } } });
  }

  /** Second write: the entry names the machine. */
  async #taken(entry: PooledRemoteMachine, machine: RemoteMachine): Promise<PooledRemoteMachine> {
    const { name, uid } = machine.metadata;
    return this.#writeStatus(entry, {
      reserved: true,
      machineRef: { name, namespace: namespaceOf(machine), uid },
      marks: [{ type: CONDITION.Ready, status: 'True', reason: REASON.Reserved, message: `Reserved by RemoteMachine ${name}` }],
    });
  }

  /** Third write: what the machine lacks of a machine that has its host: finalizer, run ID, and its entry's values, labels and annotations. */
  async #reserved(machine: RemoteMachine, entry: PooledRemoteMachine | undefined, options: ReserveOptions): Promise<Reservation> {
    const { annotations, finalizers = [], resourceVersion, deletionTimestamp } = machine.metadata;
    const inherits = entry === undefined ? {} : inherited(entry.metadata, machine.metadata);
    const isProvisioned = machine.spec?.providerID !== undefined;
    const runID = options.startRun && !isProvisioned && annotations?.[ANNOTATION.runID] === undefined && newRunID(machine.metadata.name);
    const added = { ...inherits.annotations, ...(runID !== false && { [ANNOTATION.runID]: runID }) };
    const isHeld = finalizers.includes(MACHINE_FINALIZER) || deletionTimestamp !== undefined;
    const copy =
      isProvisioned || entry?.spec === undefined ? undefined : mergePatch(machine.spec ?? {}, { ...machine.spec, ...entry.spec.machine });
    const metadata = {
      ...(!isHeld && { finalizers: [...finalizers, MACHINE_FINALIZER] }),
      ...(inherits.labels && { labels: inherits.labels }),
      ...(Object.keys(added).length > 0 && { annotations: added }),
    };
    if (copy === undefined && Object.keys(metadata).length === 0) return { kind: 'reserved', machine, entry };
    const body = { metadata: { resourceVersion, ...metadata }, ...(copy && { spec: copy }) };
    return { kind: 'reserved', machine: await this.#patchMachine(machine, body), entry };
  }

  /** A machine that names its host itself: served unless another object with that host is in use or older. */
  async #takeAddress(machine: RemoteMachine, options: ReserveOptions): Promise<Reservation> {
    if (machine.metadata.annotations?.[ANNOTATION.runID] === undefined && machine.spec?.providerID === undefined) {
      const other = this.#otherOnHostOf(machine);
      if (other !== undefined) return none(false, REASON.DuplicateHost, other);
    }
    return this.#reserved(machine, undefined, options);
  }

  #otherOnHostOf(machine: RemoteMachine): string | undefined {
    const identity = identityOfMachine(machine) ?? '';
    const before = (other: RemoteMachine): boolean =>
      other.metadata.annotations?.[ANNOTATION.runID] !== undefined ||
      other.spec?.providerID !== undefined ||
      other.metadata.creationTimestamp < machine.metadata.creationTimestamp ||
      (other.metadata.creationTimestamp === machine.metadata.creationTimestamp && keyOf(other) < keyOf(machine));
    const rival = this.#machines
      .byIndex('identity', identity)
      .find((other) => other.metadata.uid !== machine.metadata.uid && before(other));
    if (rival !== undefined) return `RemoteMachine ${keyOf(rival)} has the same host ${identity}; waiting until it is gone`;
    const entry = this.#entries.byIndex('identity', identity).find((e) => ['reserved', 'quarantined'].includes(obstacle(e) ?? ''));
    if (entry === undefined || names(entry, machine)) return undefined;
    return `PooledRemoteMachine ${keyOf(entry)} is the same host ${identity} and is in use; waiting until it is free`;
  }

  #patchMachine(machine: RemoteMachine, body: object): Promise<RemoteMachine> {
    return this.#client.patch<RemoteMachine>(REMOTE_MACHINES, { namespace: namespaceOf(machine), name: machine.metadata.name }, body);
  }

  async #writeStatus(entry: PooledRemoteMachine, change: EntryChange): Promise<PooledRemoteMachine> {
    const { namespace = '', name, resourceVersion } = entry.metadata;
    const body = { metadata: { resourceVersion }, status: entryStatus(entry, change) };
    return this.#client.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, { namespace, name }, body, { subresource: 'status' });
  }
}

const saysUnreachable = (entry: PooledRemoteMachine): boolean =>
  entry.status?.conditions?.some((c) => c.type === CONDITION.Reachable && c.status === 'False') === true;
