/** For tests of what goes on while a machine is bootstrapped: its phase, and a host that does as the test says. */
import { hostKeyFromBuffer } from '../../ssh/host-keys.ts';
import { Attempts } from '../hosts/attempts.ts';
import { type BootstrapCall, PUBLIC_KEYS } from '../testing/executor.ts';
import type { World } from '../testing/world.ts';
import { Bootstrap } from './bootstrap.ts';
import type { MachineScope } from './scope.ts';

export const [KEY, NEW_KEY] = PUBLIC_KEYS.map((key) => hostKeyFromBuffer(Buffer.from(key.split(' ')[1] ?? '', 'base64'))) as [
  ReturnType<typeof hostKeyFromBuffer>,
  ReturnType<typeof hostKeyFromBuffer>,
];
export const contact = (hostKey = KEY) => ({ facts: { hostname: 'host', hostKey: hostKey.fingerprint }, hostKey });

export class BootstrapDriver {
  readonly bootstrap: Bootstrap;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.bootstrap = new Bootstrap(world.deps, new Attempts(20, 100));
  }

  /** The phase, once. */
  async run(scope = this.#world.scope()) {
    const result = await this.bootstrap.run(scope);
    await this.#world.synced();
    return { scope, result };
  }

  /** The run as the host has it, started. */
  async started(): Promise<BootstrapCall> {
    const calls = this.#world.executor.bootstraps.length;
    await this.run();
    await this.#world.until(() => this.#world.executor.bootstraps.length > calls);
    return this.#world.executor.bootstraps[calls] as BootstrapCall;
  }

  /** The phase, once the run has ended so. */
  async ended(end: (call: BootstrapCall) => void) {
    end(await this.started());
    await this.#world.ended(this.#world.scope());
    return this.run(this.#world.scope());
  }
}

export function told(scope: MachineScope, type: Parameters<MachineScope['condition']>[0]) {
  const { status, reason, message } = scope.condition(type) ?? {};
  return { status, reason, message };
}
