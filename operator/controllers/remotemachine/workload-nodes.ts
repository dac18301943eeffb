/** Nodes of workload clusters: one watch a Cluster, and only while a machine of it waits for its Node. */
import { SECRETS } from '../../../apis/core.ts';
import { REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { Node, Secret } from '../../../apis/meta.ts';
import { ApiError, type Cache, type Client, isNotFound, type Logger, messageOf, type Request } from '../../framework/types.ts';
import { decoded } from '../hosts/access.ts';
import { type HostIdentity, matchNode } from './node-match.ts';

/** A connection to a workload cluster's API server with a watch of its Nodes. */
export interface WorkloadConnection {
  server: string;
  nodes: Cache<Node>;
  /** Resolves once the Nodes were listed. */
  synced: Promise<void>;
  /** Sets the provider ID if the Node has none; false: somebody set one meanwhile. */
  setProviderID(node: Node, providerID: string): Promise<boolean>;
  close(): void;
}

export interface WorkloadHandlers {
  /** A Node has changed. */
  changed: () => void;
  /** The watch of the Nodes has failed for some time. */
  failing: (error: unknown) => void;
}

/** Throws where the text is no kubeconfig. */
export type WorkloadConnect = (kubeconfig: string, handlers: WorkloadHandlers) => WorkloadConnection;

export type NodeState = { kind: 'set'; node: string } | { kind: 'waiting'; reason: Reason; message: string };

/** Milliseconds between reads of a kubeconfig Secret that is not there, which is the one thing that can't be watched. */
const FIRST_READ = 1_000;
const LONGEST_READ = 30_000;
/** Milliseconds for a first list of the Nodes, which is one request: after it the cluster counts as unreachable. */
const LONGEST_LIST = 10_000;

export interface Problem {
  reason: Reason;
  message: string;
}

interface WorkloadCluster {
  waiting: Map<string, Request>;
  connection?: WorkloadConnection;
  synced: boolean;
  problem?: Problem;
  timer?: NodeJS.Timeout;
  readAfter: number;
}

export class WorkloadNodes {
  readonly #client: Client;
  readonly #connect: WorkloadConnect;
  readonly #log: Logger;
  readonly #clusters = new Map<string, WorkloadCluster>();
  readonly #clusterOf = new Map<string, string>();
  /** Set once the controller's queue exists. */
  enqueue: (request: Request) => void = () => undefined;

  constructor(client: Client, connect: WorkloadConnect, log: Logger) {
    this.#client = client;
    this.#connect = connect;
    this.#log = log;
  }

  /** Where the machine's Node is; keeps watching for it until `leave`. Never waits: the machine is enqueued when something changes. */
  async observe(request: Request, clusterName: string, host: HostIdentity): Promise<NodeState> {
    const key = `${request.namespace}/${clusterName}`;
    const cluster = this.#join(key, request);
    if (cluster.connection === undefined || !cluster.synced) {
      return {
        kind: 'waiting',
        ...(cluster.problem ?? { reason: REASON.WaitingForNode, message: `Connecting to the API server of Cluster ${clusterName}` }),
      };
    }
    const match = matchNode(cluster.connection.nodes.list(), host);
    if (match.kind === 'none') return { kind: 'waiting', reason: match.reason, message: match.message };
    if (match.kind === 'patch' && !(await cluster.connection.setProviderID(match.node, host.providerID))) {
      return {
        kind: 'waiting',
        reason: REASON.WaitingForNode,
        message: `Node ${match.node.metadata.name} changed meanwhile; looking at it again`,
      };
    }
    return { kind: 'set', node: match.node.metadata.name };
  }

  /** The machine waits no more; the last one of a Cluster ends its watch. */
  leave(machineKey: string): void {
    const key = this.#clusterOf.get(machineKey);
    const cluster = key === undefined ? undefined : this.#clusters.get(key);
    this.#clusterOf.delete(machineKey);
    if (key === undefined || cluster === undefined) return;
    cluster.waiting.delete(machineKey);
    if (cluster.waiting.size > 0) return;
    this.#clusters.delete(key);
    this.#close(cluster);
  }

  shutDown(): void {
    for (const cluster of this.#clusters.values()) this.#close(cluster);
    this.#clusters.clear();
    this.#clusterOf.clear();
  }

  #join(key: string, request: Request): WorkloadCluster {
    const machineKey = `${request.namespace}/${request.name}`;
    if (this.#clusterOf.get(machineKey) !== key) this.leave(machineKey);
    let cluster = this.#clusters.get(key);
    if (cluster === undefined) {
      cluster = { waiting: new Map(), synced: false, readAfter: FIRST_READ };
      this.#clusters.set(key, cluster);
      void this.#open(key, cluster);
    }
    cluster.waiting.set(machineKey, request);
    this.#clusterOf.set(machineKey, key);
    return cluster;
  }

  /** Reads the kubeconfig and connects; what goes wrong is tried again with backoff until nobody waits any more. */
  async #open(key: string, cluster: WorkloadCluster): Promise<void> {
    const [namespace = '', name = ''] = key.split('/');
    try {
      const secret = await this.#client.get<Secret>(SECRETS, { namespace, name: `${name}-kubeconfig` });
      const kubeconfig = decoded(secret, 'value');
      if (kubeconfig === undefined) throw new Error(`Secret ${key}-kubeconfig has no key \`value\``);
      if (this.#clusters.get(key) !== cluster) return;
      const { promise: refused, reject: refuse } = Promise.withResolvers<never>();
      const connection = this.#connect(kubeconfig, {
        changed: () => this.#wake(cluster),
        // Certificates are renewed and endpoints move: what the kubeconfig says by now may work.
        failing: (error) => {
          if (cluster.connection !== connection) return;
          if (cluster.synced) this.#failed(key, cluster, error);
          else refuse(error);
        },
      });
      cluster.connection = connection;
      await this.#awaitSync(cluster, connection, refused);
      if (this.#clusters.get(key) !== cluster) return;
      cluster.synced = true;
      cluster.readAfter = FIRST_READ;
      delete cluster.problem;
      this.#wake(cluster);
    } catch (error) {
      if (this.#clusters.get(key) === cluster) this.#failed(key, cluster, error);
    }
  }

  /** A certificate or an endpoint that is out of date shows as a list that does not come: the kubeconfig is then read anew. */
  async #awaitSync(cluster: WorkloadCluster, connection: WorkloadConnection, refused: Promise<never>): Promise<void> {
    const late = new Promise<never>((_, reject) => {
      cluster.timer = setTimeout(() => reject(new Error(`${connection.server} does not list its Nodes`)), LONGEST_LIST);
    });
    await Promise.race([connection.synced, late, refused]).finally(() => clearTimeout(cluster.timer));
  }

  #failed(key: string, cluster: WorkloadCluster, error: unknown): void {
    this.#log.debug('the workload cluster is not reached yet', { cluster: key, error });
    cluster.problem =
      cluster.connection === undefined && isNotFound(error)
        ? { reason: REASON.KubeconfigNotFound, message: `Secret ${key}-kubeconfig does not exist yet` }
        : problemOf(error);
    this.#close(cluster);
    this.#wake(cluster);
    cluster.timer = setTimeout(() => void this.#open(key, cluster), cluster.readAfter);
    cluster.readAfter = Math.min(cluster.readAfter * 2, LONGEST_READ);
  }

  #wake(cluster: WorkloadCluster): void {
    for (const request of cluster.waiting.values()) this.enqueue(request);
  }

  #close(cluster: WorkloadCluster): void {
    clearTimeout(cluster.timer);
    cluster.connection?.close();
    delete cluster.connection;
    cluster.synced = false;
  }
}

/** What is wrong with a request to a workload cluster. */
export function problemOf(error: unknown): Problem {
  const message = messageOf(error);
  if (error instanceof ApiError && error.status === 403)
    return { reason: REASON.Forbidden, message: `The workload cluster refuses the user of its kubeconfig: ${message}` };
  const what = error instanceof ApiError && error.status >= 400 ? 'refuses a request' : "can't be reached";
  return { reason: REASON.WorkloadClusterUnreachable, message: `The workload cluster ${what}: ${message}` };
}
