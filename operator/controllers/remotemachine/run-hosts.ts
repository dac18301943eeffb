/**
 * The host that a run began on. Until the status tells of the run the API server lets a person change which host the machine names,
 * and what was begun on the first one has its claim there.
 */
import { identityOf } from '../../pool/identity.ts';
import { type HostSpec, hostSpecOf } from '../hosts/access.ts';
import type { MachineScope } from './scope.ts';

interface Begun {
  runID: string;
  spec: HostSpec;
  /** The host may have the claim of the run. */
  isTouched: boolean;
  /** The machine named another host once: a change back does not stop what began then. */
  isLeft: boolean;
}

type Of = Pick<MachineScope, 'machine' | 'entry' | 'uid'>;

export class RunHosts {
  /** By UID of the machine. */
  readonly #begun = new Map<string, Begun>();

  begin(uid: string, runID: string, spec: HostSpec): void {
    const before = this.#begun.get(uid);
    if (before?.runID === runID) before.spec = spec;
    else this.#begun.set(uid, { runID, spec, isTouched: false, isLeft: false });
  }

  touch(uid: string): void {
    const begun = this.#begun.get(uid);
    if (begun !== undefined) begun.isTouched = true;
  }

  forget(uid: string): void {
    this.#begun.delete(uid);
  }

  /** Whether the machine names another host than the one that its run began on. */
  isLeft(of: Of, runID: string): boolean {
    return this.#left(of, runID) !== undefined;
  }

  /** The host that was left and may have the claim of the run. */
  claimedBy(of: Of, runID: string): HostSpec | undefined {
    const left = this.#left(of, runID);
    return left?.isTouched === true ? left.spec : undefined;
  }

  /** Where the claim of the run is, if there is one. */
  specOf(of: Of, runID: string | undefined): HostSpec | undefined {
    return (runID === undefined ? undefined : this.claimedBy(of, runID)) ?? hostSpecOf(of.machine.spec, of.entry);
  }

  #left({ machine, entry, uid }: Of, runID: string): Begun | undefined {
    const begun = this.#begun.get(uid);
    // Once the status tells of the run, the API server keeps the address.
    if (begun?.runID !== runID || machine.status?.bootstrap?.runID === runID) return undefined;
    const named = hostSpecOf(machine.spec, entry);
    begun.isLeft ||= named === undefined || identityOf(named) !== identityOf(begun.spec);
    return begun.isLeft ? begun : undefined;
  }
}
