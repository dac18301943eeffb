/**
 * Phase: a person has named another host, or taken the entry away, while the run was about to begin on the first one. That one is given
 * back before anything is begun on the other, where the machine then has another run.
 */
import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import { ANNOTATION } from '../../../apis/infrastructure/group.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import type { Result } from '../../framework/types.ts';
import { names } from '../../pool/allocator.ts';
import { endpointOf } from '../../pool/identity.ts';
import type { HostCleaning } from './cleaning.ts';
import type { MachineDeps } from './deps.ts';
import type { RunHosts } from './run-hosts.ts';
import type { MachineScope } from './scope.ts';

export class Departure {
  readonly #deps: MachineDeps;
  readonly #cleaning: HostCleaning;
  readonly #hosts: RunHosts;

  constructor(deps: MachineDeps, cleaning: HostCleaning, hosts: RunHosts) {
    this.#deps = deps;
    this.#cleaning = cleaning;
    this.#hosts = hosts;
  }

  async run(scope: MachineScope): Promise<Result | undefined> {
    const runID = scope.machine.metadata.annotations?.[ANNOTATION.runID];
    const entry = this.#deps.allocator.entryOf(scope.machine);
    const of = { machine: scope.machine, entry, uid: scope.uid };
    if (runID === undefined) return undefined;
    if (!this.#hosts.isLeft(of, runID)) {
      if (this.#mayLose(scope, entry)) await this.#end(scope, runID);
      return undefined;
    }
    await this.#end(scope, runID);
    const left = this.#hosts.claimedBy(of, runID);
    if (left === undefined) {
      this.#hosts.forget(scope.uid);
      return undefined;
    }
    scope.entry = entry;
    const cleaning = await this.#cleaning.run(scope, runID);
    if (cleaning.state === 'clean') return this.#beginAnew(scope, runID);
    const what = `Another host is named by now, and ${endpointOf(left)}, which run ${runID} may have claimed, is given back first`;
    if (cleaning.state === 'underWay') {
      scope.wait(CONDITION.BootstrapExecSucceeded, REASON.WaitingForCleanup, `${what}: ${cleaning.message}`);
      return {};
    }
    const { reason, message, wait } = cleaning;
    scope.fail(CONDITION.BootstrapExecSucceeded, { reason, message: `${what}, which is tried again: ${message}`, terminal: false });
    return { requeueAfter: wait };
  }

  /** Whether the machine may get another host next, since its entry is gone, was made anew or is somebody else's. */
  #mayLose({ machine }: MachineScope, entry: PooledRemoteMachine | undefined): boolean {
    const { annotations } = machine.metadata;
    const isTold = machine.spec?.providerID !== undefined || machine.status?.bootstrap !== undefined;
    return annotations?.[ANNOTATION.poolEntry] !== undefined && !isTold && (entry === undefined || !names(entry, machine));
  }

  /** Whether it has sent anything is known once it has ended. */
  async #end(scope: MachineScope, runID: string): Promise<void> {
    if (this.#deps.tasks.peek(scope.task)?.id === runID) await this.#deps.tasks.abort(scope.task);
  }

  /** Without a run ID the machine is what it was before it had a host. */
  async #beginAnew(scope: MachineScope, runID: string): Promise<Result> {
    const { resourceVersion } = scope.machine.metadata;
    const metadata = { resourceVersion, annotations: { [ANNOTATION.runID]: null } };
    scope.machine = await this.#deps.client.patch<RemoteMachine>(REMOTE_MACHINES, scope.name, { metadata });
    this.#cleaning.forget(scope, runID);
    this.#hosts.forget(scope.uid);
    return { requeueAfter: 0 };
  }
}
