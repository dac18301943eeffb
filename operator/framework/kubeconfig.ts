import { KubeConfig } from '@kubernetes/client-node';
import type { ServerAccess } from './client.ts';

/** `file` (--kubeconfig), else KUBECONFIG, else the pod's service account, else ~/.kube/config. Throws with what was looked for. */
export function loadKubeConfig(file?: string): KubeConfig {
  throw new Error(`unfinished ${String(file)}`);
}
/** From a Secret's text: only inline data is taken; exec plugins, auth providers and file names are refused (they would run or read in the manager). */
export function parseKubeConfig(text: string): KubeConfig {
  throw new Error(text);
}
/** What ApiClient needs of a KubeConfig. */
export function serverAccess(config: KubeConfig): ServerAccess {
  throw new Error(config.currentContext);
}
