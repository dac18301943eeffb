/** Connections to workload clusters, made of the rooms of framework/. */
import { NODES } from '../apis/core.ts';
import type { Node } from '../apis/meta.ts';
import type { WorkloadConnect } from './controllers/remotemachine/workload-nodes.ts';
import { ApiClient } from './framework/client.ts';
import { Informer } from './framework/informer.ts';
import { parseKubeConfig, serverAccess } from './framework/kubeconfig.ts';
import { isConflict, isNotFound, type Logger } from './framework/types.ts';

/** Milliseconds for a request to a workload cluster, which may be far away or half up. */
const TIMEOUT = 10_000;

export const workloadConnector =
  (version: string, log: Logger): WorkloadConnect =>
  (kubeconfig, { changed, failing }) => {
    const access = serverAccess(parseKubeConfig(kubeconfig));
    const client = new ApiClient({ access, version, log, timeout: TIMEOUT });
    const nodes = new Informer<Node>({ client, resource: NODES, log, onFailing: failing });
    const stop = new AbortController();
    nodes.onChange(changed);
    void nodes.run(stop.signal);
    return {
      server: access.server,
      nodes,
      synced: nodes.synced,
      setProviderID: async (node, providerID) => {
        const { name, resourceVersion } = node.metadata;
        try {
          // Guarded: another controller may set it at the same moment, and it can't be changed once it is set.
          await client.patch(NODES, { name }, { metadata: { resourceVersion }, spec: { providerID } });
          return true;
        } catch (error) {
          if (isConflict(error) || isNotFound(error)) return false;
          throw error;
        }
      },
      close: () => {
        stop.abort();
        client.close();
      },
    };
  };
