/**
 * In the place of scheduler and kubelet: Pods of one namespace run on this machine as they stand in the API server, whoever made them
 * (Deployments by Helm, clusterctl or kustomize, test Pods). What a manager needs is built, and anything else is refused; there are no
 * Services, no DNS and no seccomp profiles.
 */
import type { Client } from '../client.ts';
import type { ControlPlaneAccess } from '../control-plane.ts';
import { claimNumber, type HostingState } from '../hosts.ts';
import { portOf } from '../network.ts';
import { RequestError } from '../rest.ts';
import type { Run } from '../run.ts';
import type { UnpackedImage } from './image.ts';
import { type Node, RunningPod } from './pod.ts';
import type { Pod } from './types.ts';

const NODE = 'e2e-node';

export interface KubeletOptions {
  controlPlane: ControlPlaneAccess;
  client: Client;
  hosting: HostingState;
  namespace: string;
  /** Images that can be had, by name and tag. */
  images: Record<string, UnpackedImage>;
}

export class Kubelet {
  readonly #node: Node;
  readonly #options: KubeletOptions;
  readonly #pods = new Map<string, Promise<RunningPod>>();
  readonly #seen = new Set<string>();
  readonly #ended = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  private constructor(run: Run, options: KubeletOptions) {
    const { client, hosting, controlPlane, images } = options;
    const { hostname: host, port } = new URL(controlPlane.url);
    const service = { host, port };
    this.#options = options;
    this.#node = { run, client, network: hosting.network, service, imageOf: (reference) => images[reference] };
  }

  /** Only with a control plane that Pods reach: see ControlPlaneOptions.address. */
  static async start(run: Run, options: KubeletOptions): Promise<Kubelet> {
    const kubelet = new Kubelet(run, options);
    await options.client.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: NODE } });
    kubelet.#watching = kubelet.#watch();
    return kubelet;
  }

  /** Pods that run now, by name. */
  async pods(): Promise<RunningPod[]> {
    const all = await Promise.all(this.#pods.values());
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Ends all containers. */
  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#watching;
    const pods = await this.pods();
    await Promise.all(pods.map((pod) => pod.stop(1000)));
  }

  async #watch(): Promise<void> {
    const { client, namespace } = this.#options;
    try {
      for await (const objects of client.observe({ apiVersion: 'v1', kind: 'Pod', namespace }, this.#ended.signal)) {
        const pods = objects as unknown as Pod[];
        for (const pod of pods) this.#see(pod);
        for (const uid of this.#pods.keys())
          if (!pods.some(({ metadata }) => metadata.uid === uid)) this.#once(`end ${uid}`, () => this.#stop(uid, 0));
      }
    } catch (error) {
      if (!this.#ended.signal.aborted) throw error;
    }
  }

  #see(pod: Pod): void {
    const { uid, deletionTimestamp } = pod.metadata;
    if (deletionTimestamp !== undefined) this.#once(`end ${uid}`, () => this.#end(pod));
    else if (pod.spec.nodeName === undefined) this.#once(`bind ${uid}`, () => this.#bind(pod));
    else if (pod.spec.nodeName === NODE) this.#once(`start ${uid}`, () => this.#start(pod));
  }

  #once(what: string, act: () => Promise<unknown>): void {
    if (this.#seen.has(what)) return;
    this.#seen.add(what);
    act().catch((error: unknown) => {
      if (!this.#ended.signal.aborted) process.stderr.write(`kubelet: ${what}: ${String(error)}\n`);
    });
  }

  #bind({ metadata: { namespace, name } }: Pod): Promise<unknown> {
    const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { apiVersion: 'v1', kind: 'Node', name: NODE } };
    return this.#node.client.rest.call({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods/${name}/binding`, body });
  }

  async #start(pod: Pod): Promise<void> {
    const running = new RunningPod(this.#node, pod, portOf(this.#node.run, this.#node.network, claimNumber(this.#node.run)));
    const started = running.start().then(() => running);
    this.#pods.set(pod.metadata.uid, started);
    await started;
  }

  async #end(pod: Pod): Promise<void> {
    const { uid, namespace, name, deletionGracePeriodSeconds = 30 } = pod.metadata;
    await this.#stop(uid, deletionGracePeriodSeconds * 1000);
    const body = { gracePeriodSeconds: 0, preconditions: { uid } };
    await this.#node.client.rest
      .call({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/pods/${name}`, body })
      .catch((error: unknown) => {
        // One that had ended goes without a kubelet.
        if (!(error instanceof RequestError) || error.status !== 404) throw error;
      });
  }

  async #stop(uid: string, grace: number): Promise<void> {
    await (await this.#pods.get(uid))?.stop(grace);
    this.#pods.delete(uid);
  }
}

/** A Deployment, for waitFor: whether all that it wants is of its newest template and available. */
export const isRolledOut = ({ metadata, spec, status }: { metadata: { generation?: number }; spec?: object; status?: object }): boolean => {
  const wanted = (spec as { replicas?: number } | undefined)?.replicas ?? 1;
  const now = (status ?? {}) as { observedGeneration?: number; replicas?: number; updatedReplicas?: number; availableReplicas?: number };
  const settled = now.observedGeneration === metadata.generation;
  return settled && now.replicas === wanted && now.updatedReplicas === wanted && now.availableReplicas === wanted;
};
