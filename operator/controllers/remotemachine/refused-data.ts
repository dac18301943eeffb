/** Bootstrap data that a host's facts make one that cannot be carried out: known from then on, without asking the host again and again. */
import { createHash } from 'node:crypto';
import { type BootstrapData, BootstrapDataError } from '../../bootstrap/plan.ts';
import type { Instance } from './bootstrap-data.ts';
import type { MachineScope } from './scope.ts';

type Of = Pick<MachineScope, 'uid' | 'version'>;

export class RefusedData {
  /** By UID of the machine. */
  readonly #refused = new Map<string, { fingerprint: string; refusal: BootstrapDataError }>();

  /** Of the same data for the same machine, before anything of either was corrected. */
  of(machine: Of, data: BootstrapData, instance: Instance): BootstrapDataError | undefined {
    const known = this.#refused.get(machine.uid);
    return known?.fingerprint === fingerprintOf(machine, data, instance) ? known.refusal : undefined;
  }

  async noting<T>(machine: Of, data: BootstrapData, instance: Instance, plan: Promise<T>): Promise<T> {
    try {
      return await plan;
    } catch (error) {
      if (error instanceof BootstrapDataError) {
        this.#refused.set(machine.uid, { fingerprint: fingerprintOf(machine, data, instance), refusal: error });
      }
      throw error;
    }
  }

  forget(uid: string): void {
    this.#refused.delete(uid);
  }
}

function fingerprintOf({ version }: Of, { value, format }: BootstrapData, instance: Instance): string {
  return createHash('sha256')
    .update(JSON.stringify([version, format, instance]))
    .update(value)
    .digest('hex');
}
