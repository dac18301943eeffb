/** Phase: a person asks for another run in place of one that failed: the host is cleaned, and the machine gets a new run ID. */
import { PAUSED_ANNOTATION } from '../../../apis/cluster/types.ts';
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { ANNOTATION, REQUEST } from '../../../apis/infrastructure/group.ts';
import type { Result } from '../../framework/types.ts';
import { newRunID } from '../../pool/machine-patch.ts';
import type { Failure } from '../hosts/failure.ts';
import type { HostCleaning } from './cleaning.ts';
import type { MachineDeps } from './deps.ts';
import { pinHostKey } from './host-key.ts';
import type { MachineScope } from './scope.ts';

export class Retry {
  readonly #deps: MachineDeps;
  readonly #cleaning: HostCleaning;
  /** UID of a machine -> the request that was refused: it is told once. */
  readonly #refused = new Map<string, string>();

  constructor(deps: MachineDeps, cleaning: HostCleaning) {
    this.#deps = deps;
    this.#cleaning = cleaning;
  }

  async run(scope: MachineScope): Promise<Result | undefined> {
    const { annotations } = scope.machine.metadata;
    const request = annotations?.[REQUEST.retry];
    if (request === undefined) {
      this.forget(scope.uid);
      return undefined;
    }
    const { bootstrap } = scope.status;
    const failed = bootstrap?.phase === 'Failed' ? bootstrap.runID : undefined;
    if (failed === undefined || request !== failed || request !== annotations?.[ANNOTATION.runID]) {
      this.#refuse(scope, request, failed);
      return undefined;
    }
    if (scope.entry?.metadata.annotations?.[PAUSED_ANNOTATION] !== undefined) {
      scope.wait(
        CONDITION.BootstrapExecSucceeded,
        REASON.Paused,
        `PooledRemoteMachine ${scope.entry.metadata.name} is paused: its host is not cleaned`,
      );
      return {};
    }
    const cleaning = await this.#cleaning.run(scope, failed);
    if (cleaning.state === 'clean') {
      await this.#startAnew(scope, failed, cleaning.hostKey);
      return undefined;
    }
    if (cleaning.state === 'failed') {
      this.#tellUnclean(scope, failed, cleaning);
      return { requeueAfter: cleaning.wait };
    }
    // While it is tried again, why the last attempt failed stays told.
    if (cleaning.last !== undefined) this.#tellUnclean(scope, failed, cleaning.last);
    else
      scope.wait(CONDITION.BootstrapExecSucceeded, REASON.Retrying, `The host of the failed run ${failed} is cleaned: ${cleaning.message}`);
    return {};
  }

  forget(uid: string): void {
    this.#refused.delete(uid);
  }

  #tellUnclean(scope: MachineScope, failed: string, { reason, message }: Pick<Failure, 'reason' | 'message'>): void {
    const what = `The host of the failed run ${failed} could not be cleaned, which is tried again: ${message}`;
    scope.fail(CONDITION.BootstrapExecSucceeded, { reason, message: what, terminal: false });
  }

  #refuse(scope: MachineScope, request: string, failed: string | undefined): void {
    if (this.#refused.get(scope.uid) === request) return;
    this.#refused.set(scope.uid, request);
    const why = failed === undefined ? 'no run of this machine has failed' : `the run that failed is ${failed}`;
    const note = `Annotation ${REQUEST.retry}=${request} is not honoured: ${why}`;
    this.#deps.events.event(scope.machine, 'Warning', REASON.RetryRefused, CONDITION.BootstrapExecSucceeded, note);
  }

  /** The new run ID and the end of the request in one write, so that a request is honoured once. */
  async #startAnew(scope: MachineScope, failed: string, hostKey: Parameters<typeof pinHostKey>[2]): Promise<void> {
    const runID = newRunID(scope.machine.metadata.name);
    await pinHostKey(this.#deps, scope, hostKey, { annotations: { [ANNOTATION.runID]: runID, [REQUEST.retry]: null } });
    this.#cleaning.forget(scope, failed);
    delete scope.status.bootstrap;
    const message = `The host is clean of the failed run ${failed}; run ${runID} starts`;
    scope.wait(CONDITION.BootstrapExecSucceeded, REASON.Retrying, message);
    this.#deps.events.event(scope.machine, 'Normal', REASON.Retrying, CONDITION.BootstrapExecSucceeded, message);
  }
}
