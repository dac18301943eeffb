/**
 * The one adapter of @dot-i/k8s-operator: its Operator gives the lifecycle (init, start, stop), and nothing else of it is used. Its
 * watches end the process on errors, lose deletes and swallow failures, and its writes are unguarded; informer.ts, queue.ts and
 * client.ts stand in for them.
 */
import { KubeConfig } from '@kubernetes/client-node';
import loaded from '@dot-i/k8s-operator';
import type { KubernetesObject } from '../../apis/meta.ts';
import type { Controller } from './controller.ts';
import type { DiagnosticsServer } from './diagnostics.ts';
import type { HealthServer } from './health.ts';
import type { RunningCache } from './informers.ts';
import type { LeaderElector } from './leader-election.ts';
import type { Logger } from './types.ts';

/** Under Node's own loader the default import is the CommonJS exports object, where modules are compiled to CommonJS the class itself. */
const Operator: typeof loaded.default = typeof loaded === 'function' ? loaded : loaded.default;

/** The library's class with everything disarmed that must not be used. */
abstract class Shell extends Operator {
  constructor(config: KubeConfig, log: Logger) {
    // The library's constructor loads the default kubeconfig, whatever it is, and fails if KUBECONFIG names a file that is not there.
    const original = Object.getOwnPropertyDescriptor(KubeConfig.prototype, 'loadFromDefault') ?? {};
    KubeConfig.prototype.loadFromDefault = function (this: KubeConfig) {
      this.loadFromOptions(config);
    };
    try {
      super(log);
    } finally {
      Object.defineProperty(KubeConfig.prototype, 'loadFromDefault', original);
    }
    this.kubeConfig = config;
  }

  protected override watchResource(): Promise<never> {
    return unused('watchResource', 'an Informer');
  }
  protected override registerCustomResourceDefinition(): Promise<never> {
    return unused('registerCustomResourceDefinition', 'the manifests');
  }
  protected override setResourceStatus(): Promise<never> {
    return unused('setResourceStatus', 'ApiClient.patch');
  }
  protected override patchResourceStatus(): Promise<never> {
    return unused('patchResourceStatus', 'ApiClient.patch');
  }
  protected override setResourceFinalizers(): Promise<never> {
    return unused('setResourceFinalizers', 'ApiClient.patch');
  }
  protected override handleResourceFinalizer(): Promise<never> {
    return unused('handleResourceFinalizer', 'ApiClient.patch');
  }
  protected override applyAxiosKubeConfigAuth(): Promise<never> {
    return unused('applyAxiosKubeConfigAuth', 'serverAccess');
  }
  protected override applyGaxiosKubeConfigAuth(): Promise<never> {
    return unused('applyGaxiosKubeConfigAuth', 'serverAccess');
  }
}

const unused = (method: string, instead: string): Promise<never> => Promise.reject(new Error(`${method} is not used here: use ${instead}`));

export interface RemoteOperatorOptions {
  config: KubeConfig;
  log: Logger;
  informers: readonly Pick<RunningCache<KubernetesObject>, 'run' | 'synced' | 'resource'>[];
  controllers: readonly Controller[];
  leaderElection?: LeaderElector;
  health?: HealthServer;
  diagnostics?: DiagnosticsServer;
  /** Called in order after the workers ended and before the lease is given up: BackgroundTasks.shutDown, EventSink.drain. */
  cleanups?: readonly (() => Promise<void>)[];
  /** Milliseconds that workers and cleanups may take to end. Default 10,000. */
  grace?: number;
}

/** Why the operator ended. */
export type Ending = 'stopped' | 'lost leadership';

export class RemoteOperator extends Shell {
  /** Resolves when everything ended, after stop, SIGTERM, SIGINT, or the loss of the lease. Never rejects. */
  readonly ended: Promise<Ending>;
  readonly #options: RemoteOperatorOptions;
  readonly #setEnded: (ending: Ending) => void;
  /** Aborted first: no new work. */
  readonly #working = new AbortController();
  /** Aborted when the work has ended: watches and the lease are needed until then. */
  readonly #serving = new AbortController();
  readonly #running: Promise<unknown>[] = [];
  readonly #unsynced = new Set<string>();
  #leading: Promise<void> = Promise.resolve();
  #ending: Ending = 'stopped';
  #stopped: Promise<void> | undefined;

  constructor(options: RemoteOperatorOptions) {
    super(options.config, options.log);
    this.#options = options;
    ({ promise: this.ended, resolve: this.#setEnded } = Promise.withResolvers<Ending>());
  }

  /**
   * Resolves when the caches are filled and this manager leads or stands by, or when it was stopped before that. Rejects if a port
   * or the certificate for diagnostics cannot be had; nothing runs then.
   */
  override async start(): Promise<void> {
    await super.start();
  }

  /** Ends everything: takes no more work, lets the workers end, runs the cleanups, gives up the lease. May be called at any time, also twice. */
  // eslint-disable-next-line @typescript-eslint/no-misused-promises -- who knows only the library's void loses nothing: it never rejects
  override stop(): Promise<void> {
    this.#stopped ??= this.#shutDown();
    return this.#stopped;
  }

  protected override async init(): Promise<void> {
    const { informers, health, diagnostics } = this.#options;
    try {
      await Promise.all([health?.start(), diagnostics?.start()]);
    } catch (error) {
      await this.#stopServing();
      throw error;
    }
    if (health !== undefined) health.notReady = () => this.#notReady();
    process.on('SIGTERM', this.#onSignal).on('SIGINT', this.#onSignal);
    for (const { resource, synced } of informers) {
      this.#unsynced.add(resource.plural);
      void synced.then(() => this.#unsynced.delete(resource.plural));
    }
    this.#running.push(...informers.map((informer) => informer.run(this.#serving.signal)));
    await Promise.race([Promise.all(informers.map(({ synced }) => synced)), aborted(this.#working.signal)]);
    if (this.#working.signal.aborted) return;
    this.#options.log.info('caches are filled', { informers: informers.length });
    this.#leading = this.#lead();
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#options.log.info('stopping', { signal });
    // A second signal ends the process the hard way.
    process.off('SIGTERM', this.#onSignal).off('SIGINT', this.#onSignal);
    void this.stop();
  };

  #notReady(): string | undefined {
    if (this.#working.signal.aborted) return 'stopping';
    return this.#unsynced.size === 0 ? undefined : `waiting for the first list of ${[...this.#unsynced].join(', ')}`;
  }

  async #lead(): Promise<void> {
    const { leaderElection, controllers } = this.#options;
    if (leaderElection !== undefined && !(await leaderElection.acquire(this.#working.signal))) return;
    const work = Promise.all(controllers.map((controller) => controller.start(this.#working.signal)));
    this.#running.push(leaderElection === undefined ? Promise.resolve() : this.#hold(leaderElection));
    await work;
  }

  async #hold(leaderElection: LeaderElector): Promise<void> {
    if ((await leaderElection.hold(this.#serving.signal)) === 'lost') {
      this.#ending = 'lost leadership';
      void this.stop();
    } else await leaderElection.release();
  }

  async #shutDown(): Promise<void> {
    this.#working.abort(new Error('the manager stops'));
    const end = performance.now() + (this.#options.grace ?? 10_000);
    await this.#within(end, 'workers', () => this.#leading);
    for (const cleanup of this.#options.cleanups ?? []) await this.#within(end, 'a cleanup', cleanup);
    this.#serving.abort(new Error('the manager stops'));
    await Promise.all(this.#running);
    await this.#stopServing();
    process.off('SIGTERM', this.#onSignal).off('SIGINT', this.#onSignal);
    this.#options.log.info('ended', { reason: this.#ending });
    this.#setEnded(this.#ending);
  }

  async #stopServing(): Promise<void> {
    const { health, diagnostics } = this.#options;
    await Promise.all([health?.stop(), diagnostics?.stop()]);
  }

  async #within(end: number, what: string, work: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const timer = setTimeout(() => resolve('late'), Math.max(0, end - performance.now()));
    try {
      if ((await Promise.race([promise, work()])) === 'late') this.#options.log.warn(`${what} did not end in time`);
    } catch (error) {
      this.#options.log.error(`${what} failed while stopping`, { error });
    }
    clearTimeout(timer);
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
