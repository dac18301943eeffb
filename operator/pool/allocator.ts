/**
 * Binds machines to entries and frees them, in two guarded writes: the machine names the entry and takes over what belongs to it (which
 * survives a move, where status does not), then the entry's status names the machine, which decides who has it.
 */
import { ANNOTATION, ENTRY_FINALIZER, PEER_MACHINE_FINALIZER } from '../../apis/infrastructure/group.ts';
import { CONDITION, REASON, type Reason } from '../../apis/infrastructure/conditions.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../apis/infrastructure/resources.ts';
import { keyOf } from '../../apis/meta.ts';
import { mergePatch } from '../framework/patch.ts';
import type { Client } from '../framework/types.ts';
import { choose, type View, wantedIdentity } from './choose.ts';
import { type EntryChange, entryStatus, type EntryMark } from './entry-status.ts';
import { pinPatch, pinsHostKey, trustOf } from './host-key-pins.ts';
import { identityOfEntry, identityOfMachine } from './identity.ts';
import { type EntryCache, type MachineCache, obstacle } from './indexes.ts';
import { type HostChange, machinePatch } from './machine-patch.ts';

export type Reservation =
  /** The machine has its host. `entry` undefined: it names the host itself, or its entry was deleted and the copy serves. */
  | { kind: 'reserved'; machine: RemoteMachine; entry: PooledRemoteMachine | undefined }
  /** Nothing is bound; `terminal` for input that only a person can mend. */
  | { kind: 'none'; terminal: boolean; reason: Reason; message: string };

export interface ReserveOptions {
  failureDomain: string | undefined;
  /** A run is about to start: give the machine a run ID in the same write if it has none. */
  startRun: boolean;
  /** Of the machine; the entry remembers it, to tell a machine that is gone from one that was moved away with its Cluster. */
  clusterName?: string | undefined;
}

export interface SettleOptions {
  /** Key that the host has shown. */
  hostKey?: string | undefined;
  /** Of the machine that has it, see ANNOTATION.runID. */
  run?: string | undefined;
  /** What else goes into the write (merge patch). */
  annotations?: Record<string, string | null>;
}

const none = (terminal: boolean, reason: Reason, message: string): Reservation => ({ kind: 'none', terminal, reason, message });

/** What this process knows of a binding that it made. */
interface Binding {
  /** Key of the entry. */
  key: string;
  /** UID of the entry, unless the machine names its host itself or has the copy of one that is gone. */
  entry: string | undefined;
  /** Whether anything may have been sent to the host. */
  isTouched: boolean;
}

const namespaceOf = (machine: RemoteMachine): string => machine.metadata.namespace ?? '';

/** Whether the entry's status names the machine: by name where there is no UID, as k0smotron's provider or a restored backup leaves it. */
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
  /** UID of an entry -> when its host last could not be reached, in ms since the process started. */
  readonly #unreachable = new Map<string, number>();
  /** UID of a machine -> the binding that this process made. */
  readonly #bindings = new Map<string, Binding>();

  constructor(client: Client, entries: EntryCache, machines: MachineCache) {
    this.#client = client;
    this.#entries = entries;
    this.#machines = machines;
    entries.onChange(({ type, object }) => {
      if (type === 'deleted') this.#unreachable.delete(object.metadata.uid);
    });
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
    const binding = this.#bindings.get(machine.metadata.uid);
    if (binding === undefined) return;
    this.#unreachable.delete(binding.entry ?? '');
    binding.isTouched = true;
  }

  /**
   * The machine's host could not be reached (and nothing was sent to it): binds the machine to another free entry, if need
   * be the one that was unreachable longest ago, and gives the old one back as unreachable. Undefined: there is no other, or
   * something may have been sent, and the machine stays where it is.
   */
  async moveOn(machine: RemoteMachine, options: ReserveOptions, mark: EntryMark): Promise<Reservation | undefined> {
    const pool = machine.spec?.pool;
    const binding = this.#bindings.get(machine.metadata.uid);
    // One that asks for this very host does not go on to another.
    if (pool === undefined || binding === undefined || wantedIdentity(machine) !== undefined) return undefined;
    if (this.#touched(machine) !== 'no') return undefined;
    if (binding.entry !== undefined) this.#unreachable.set(binding.entry, performance.now());
    const choice = choose({ namespace: namespaceOf(machine), pool, failureDomain: options.failureDomain }, machine, this.#view());
    if (choice.entry === undefined) return undefined;
    return this.#bind(machine, choice.entry, { ...options, startRun: true }, mark);
  }

  /** Whether it is certain that nothing was ever sent to a host for the machine. */
  isUntouched(machine: RemoteMachine): boolean {
    return this.#touched(machine) === 'no';
  }

  /** The machine is gone. */
  forget(uid: string): void {
    this.#bindings.delete(uid);
  }

  /** Whether the entry's host could not be reached the last time; such a one is passed over while another is free. */
  isUnreachable(entry: PooledRemoteMachine): boolean {
    return this.#view().unreachableSince(entry) !== 0;
  }

  /**
   * Gives the entry back after a confirmed cleanup, if it still names the machine. `marks` are conditions written with it;
   * the annotation that the quarantine left and our finalizer go in a second write.
   */
  async release(entry: PooledRemoteMachine, machine: RemoteMachine, marks: EntryMark[], along: SettleOptions = {}): Promise<void> {
    if (names(entry, machine)) await this.free(entry, marks, along);
    else await this.settle(entry);
  }

  /** Gives back an entry whose machine is gone. */
  async free(entry: PooledRemoteMachine, marks: EntryMark[], along: SettleOptions = {}): Promise<void> {
    await this.settle(await this.#writeStatus(entry, { reserved: false, marks }), along);
  }

  /** Brings an entry's metadata in line with its status: finalizer and run while reserved, no quarantine once it is free, pinned host key. */
  async settle(entry: PooledRemoteMachine, { hostKey, run, annotations: along }: SettleOptions = {}): Promise<PooledRemoteMachine> {
    const finalizers = entry.metadata.finalizers ?? [];
    const reserved = entry.status?.reserved === true;
    const held = finalizers.includes(ENTRY_FINALIZER);
    const annotations: Record<string, string | null> = { ...along };
    if (!reserved && entry.metadata.annotations?.[ANNOTATION.quarantined] !== undefined) annotations[ANNOTATION.quarantined] = null;
    if (reserved && entry.metadata.annotations?.[ANNOTATION.abandonedRun] !== undefined) annotations[ANNOTATION.abandonedRun] = null;
    const noted = entry.metadata.annotations?.[ANNOTATION.runID];
    if (reserved ? run !== undefined && run !== noted : noted !== undefined)
      annotations[ANNOTATION.runID] = reserved ? (run ?? null) : null;
    if (hostKey !== undefined && entry.spec !== undefined && pinsHostKey(entry.spec.machine))
      Object.assign(annotations, pinPatch(entry, hostKey));
    const wanted = reserved ? [...finalizers, ENTRY_FINALIZER] : finalizers.filter((f) => f !== ENTRY_FINALIZER);
    // A finalizer can't be added to an object that is being deleted.
    const change = reserved !== held && !(reserved && entry.metadata.deletionTimestamp !== undefined);
    if (!change && Object.keys(annotations).length === 0) return entry;
    return this.#patchMetadata(entry, {
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(change && { finalizers: wanted }),
    });
  }

  /**
   * Keeps the entry from being handed out until its own controller has confirmed a cleanup of the run. The host key that the machine
   * knew it by stays with the entry, so that no other one is trusted there.
   */
  async quarantine(entry: PooledRemoteMachine, machine: RemoteMachine, runID: string, mark: EntryMark): Promise<PooledRemoteMachine> {
    const [hostKey] = trustOf(machine, entry).pinned;
    const pins = hostKey !== undefined && entry.spec !== undefined && pinsHostKey(entry.spec.machine);
    const annotations = { [ANNOTATION.quarantined]: runID, ...(pins && { [ANNOTATION.hostKey]: hostKey }) };
    const { finalizers = [], deletionTimestamp } = entry.metadata;
    // With the entry the quarantine would go, and the host come back as a new one.
    const isFree = !finalizers.includes(ENTRY_FINALIZER) && deletionTimestamp === undefined;
    const noted = await this.#patchMetadata(entry, { annotations, ...(isFree && { finalizers: [...finalizers, ENTRY_FINALIZER] }) });
    return this.#writeStatus(noted, { reserved: true, marks: [mark] });
  }

  /** Writes conditions and facts of an entry, if they changed. */
  async mark(entry: PooledRemoteMachine, change: Omit<EntryChange, 'reserved' | 'machineRef'>): Promise<PooledRemoteMachine> {
    const status = entryStatus(entry, change, this.#client.now());
    return mergePatch(entry.status ?? {}, status) === undefined ? entry : this.#writeStatus(entry, change);
  }

  /** The entry that the machine is bound to, while it exists. One that was made anew under its name for another host is not it. */
  entryOf(machine: RemoteMachine): PooledRemoteMachine | undefined {
    const name = machine.metadata.annotations?.[ANNOTATION.poolEntry] ?? this.#holding(machine)?.metadata.name;
    const entry = name === undefined ? undefined : this.#entries.get(namespaceOf(machine), name);
    return entry !== undefined && this.#isElsewhere(machine, entry) ? undefined : entry;
  }

  /** Whether something may have been sent to the machine's host, and the entry is another host. One that names the machine never is. */
  #isElsewhere(machine: RemoteMachine, entry: PooledRemoteMachine): boolean {
    if (names(entry, machine)) return false;
    const identity = identityOfMachine(machine);
    return identity !== undefined && identity !== identityOfEntry(entry) && this.#touched(machine) !== 'no';
  }

  #view(): View {
    return {
      entries: this.#entries,
      machines: this.#machines,
      assumed: (key) => this.#assumed.get(key)?.uid,
      unreachableSince: (entry) => this.#unreachable.get(entry.metadata.uid) ?? (saysUnreachable(entry) ? Number.MIN_VALUE : 0),
    };
  }

  /** The entry whose status names the machine, which decides who has it: k0smotron's provider writes nothing else. */
  #holding(machine: RemoteMachine): PooledRemoteMachine | undefined {
    const { namespace, name, uid, finalizers } = machine.metadata;
    // By its name only one that was there when the reference was written: a new machine may have the name of an old one.
    const isOld = machine.spec?.providerID !== undefined || finalizers?.includes(PEER_MACHINE_FINALIZER) === true;
    return [uid, ...(isOld ? [`${namespace ?? ''}/${name}`] : [])]
      .flatMap((holder) => this.#entries.byIndex('holder', holder))
      .find(({ metadata }) => metadata.namespace === namespace && metadata.annotations?.[ANNOTATION.quarantined] === undefined);
  }

  async #complete(machine: RemoteMachine, name: string, options: ReserveOptions): Promise<Reservation> {
    const found = this.#entries.get(namespaceOf(machine), name);
    const entry = found !== undefined && this.#isElsewhere(machine, found) ? undefined : found;
    if (entry !== undefined && names(entry, machine)) {
      // The peer leaves no UID, and a machine to come may have the same name.
      return entry.status?.machineRef?.uid === undefined ? this.#bind(machine, entry, options) : this.#settled(machine, entry, options);
    }
    const pool = machine.spec?.pool;
    if (entry === undefined || this.#isOpen(entry, machine)) {
      const movable = this.#touched(machine) === 'no' ? pool : undefined;
      if (entry !== undefined && (movable === undefined || [undefined, 'reserved', 'unsettled'].includes(obstacle(entry))))
        return this.#bind(machine, entry, options);
      if (movable !== undefined) return this.#bindFromPool(machine, movable, options);
      if (machine.spec?.address !== undefined) return this.#settled(machine, undefined, options);
      return none(false, REASON.WaitingForHost, `PooledRemoteMachine ${name}, to which the machine is bound, does not exist`);
    }
    // Somebody else has it. If this machine had it before and a run is about to start, one of the two guarded writes fails: the one that
    // tells of the run in the status, or the one that gives the machine another host.
    if (pool !== undefined && this.#touched(machine) !== 'yes') return this.#bindFromPool(machine, pool, options);
    const holder = entry.status?.machineRef;
    const other = `PooledRemoteMachine ${name} is reserved by RemoteMachine ${holder?.namespace ?? '?'}/${holder?.name ?? '?'}`;
    return none(false, REASON.DuplicateHost, other);
  }

  /** A restored or moved machine has a new UID: the reference that has its name and another UID is its own old one. */
  #isOpen(entry: PooledRemoteMachine, machine: RemoteMachine): boolean {
    const ref = entry.status?.machineRef;
    return (
      entry.status?.reserved !== true ||
      ref === undefined ||
      (ref.name === machine.metadata.name && ref.namespace === machine.metadata.namespace)
    );
  }

  /** Whether anything may have been sent to the machine's host: of what an earlier process did, not all is known. */
  #touched({ metadata: { annotations, namespace = '', uid }, spec, status }: RemoteMachine): 'no' | 'maybe' | 'yes' {
    if (spec?.providerID !== undefined || status?.bootstrap !== undefined) return 'yes';
    if (annotations?.[ANNOTATION.runID] === undefined) return 'no';
    const binding = this.#bindings.get(uid);
    if (binding?.key !== `${namespace}/${annotations[ANNOTATION.poolEntry] ?? ''}`) return 'maybe';
    return binding.isTouched ? 'yes' : 'no';
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
      const from = this.#lost(machine, undefined);
      // One that waits for the host of its address goes on naming the entry.
      if (from !== undefined && wanted.identity === undefined) await this.#change(machine, { from, startRun: false });
      return none(choice.reason === REASON.AddressNotInPool, choice.reason, choice.message);
    }
  }

  async #bind(machine: RemoteMachine, entry: PooledRemoteMachine, options: ReserveOptions, why?: EntryMark): Promise<Reservation> {
    const key = keyOf(entry);
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    this.#assumed.set(key, { uid: machine.metadata.uid, settled });
    try {
      return await this.#write(machine, entry, options, why);
    } finally {
      this.#assumed.delete(key);
      resolve();
    }
  }

  /** The two writes of a binding; `why`: the machine gives back the entry that it has. */
  async #write(machine: RemoteMachine, entry: PooledRemoteMachine, options: ReserveOptions, why?: EntryMark): Promise<Reservation> {
    // Whoever reserved it for the machine may have begun on it.
    const isTouched = names(entry, machine);
    const isNew = machine.metadata.annotations?.[ANNOTATION.poolEntry] !== entry.metadata.name;
    const from = this.#lost(machine, entry);
    const named = await this.#change(machine, { to: entry, from, startRun: options.startRun });
    if (isNew) this.#bindings.set(machine.metadata.uid, { key: keyOf(entry), entry: entry.metadata.uid, isTouched });
    if (why !== undefined && from?.entry !== undefined && names(from.entry, machine))
      await this.#writeStatus(from.entry, { reserved: false, marks: [why] });
    const { name, uid } = machine.metadata;
    const { clusterName } = options;
    const taken = await this.#writeStatus(entry, {
      reserved: true,
      machineRef: { name, namespace: namespaceOf(machine), uid, ...(clusterName !== undefined && { clusterName }) },
      marks: [{ type: CONDITION.Ready, status: 'True', reason: REASON.Reserved, message: `Reserved by RemoteMachine ${name}` }],
    });
    return { kind: 'reserved', machine: named, entry: taken };
  }

  /** What the machine loses with a change to `next`. */
  #lost(machine: RemoteMachine, next: PooledRemoteMachine | undefined): HostChange['from'] {
    const name = machine.metadata.annotations?.[ANNOTATION.poolEntry];
    return name === undefined || name === next?.metadata.name ? undefined : { entry: this.#entries.get(namespaceOf(machine), name) };
  }

  /** The machine has its host, and what it may lack of it. */
  async #settled(machine: RemoteMachine, entry: PooledRemoteMachine | undefined, options: ReserveOptions): Promise<Reservation> {
    const changed = await this.#change(machine, { to: entry, startRun: options.startRun });
    const { annotations, uid } = machine.metadata;
    // Whoever writes the run ID knows that nothing was sent before.
    if (annotations?.[ANNOTATION.runID] !== changed.metadata.annotations?.[ANNOTATION.runID]) {
      const key = `${namespaceOf(machine)}/${annotations?.[ANNOTATION.poolEntry] ?? ''}`;
      this.#bindings.set(uid, { key, entry: entry?.metadata.uid, isTouched: false });
    }
    return { kind: 'reserved', machine: changed, entry };
  }

  async #change(machine: RemoteMachine, change: HostChange): Promise<RemoteMachine> {
    const patch = machinePatch(machine, change);
    if (patch === undefined) return machine;
    const name = { namespace: namespaceOf(machine), name: machine.metadata.name };
    return this.#client.patch<RemoteMachine>(REMOTE_MACHINES, name, patch);
  }

  /** A machine that names its host itself: served unless another object with that host is in use or older. */
  async #takeAddress(machine: RemoteMachine, options: ReserveOptions): Promise<Reservation> {
    if (machine.metadata.annotations?.[ANNOTATION.runID] === undefined && machine.spec?.providerID === undefined) {
      const other = this.#otherOnHostOf(machine);
      if (other !== undefined) return none(false, REASON.DuplicateHost, other);
    }
    return this.#settled(machine, undefined, options);
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

  #patchMetadata(entry: PooledRemoteMachine, change: object): Promise<PooledRemoteMachine> {
    const { namespace = '', name, resourceVersion } = entry.metadata;
    return this.#client.patch<PooledRemoteMachine>(
      POOLED_REMOTE_MACHINES,
      { namespace, name },
      { metadata: { resourceVersion, ...change } },
    );
  }

  async #writeStatus(entry: PooledRemoteMachine, change: EntryChange): Promise<PooledRemoteMachine> {
    const { namespace = '', name, resourceVersion } = entry.metadata;
    const body = { metadata: { resourceVersion }, status: entryStatus(entry, change, this.#client.now()) };
    return this.#client.patch<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, { namespace, name }, body, { subresource: 'status' });
  }
}

const saysUnreachable = (entry: PooledRemoteMachine): boolean =>
  entry.status?.conditions?.some((c) => c.type === CONDITION.Reachable && c.status === 'False') === true;
