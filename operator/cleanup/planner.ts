import { cleanUpCommands } from './commands.ts';
import { k0s } from './k0s.ts';
import { k3s } from './k3s.ts';
import { kubeadm } from './kubeadm.ts';
import { microk8s } from './microk8s.ts';
import type { CleanupInput, CleanupPlan } from './plan.ts';
import { rke2 } from './rke2.ts';

/** Bootstrap providers by the group and kind of a Machine's bootstrap.configRef. */
const PROVIDERS: Record<string, CleanupPlan> = {
  'bootstrap.cluster.x-k8s.io/KubeadmConfig': kubeadm,
  'bootstrap.cluster.x-k8s.io/K0sControllerConfig': k0s('controller'),
  'bootstrap.cluster.x-k8s.io/K0sWorkerConfig': k0s('worker'),
  'bootstrap.cluster.x-k8s.io/RKE2Config': rke2,
  'bootstrap.cluster.x-k8s.io/KThreesConfig': k3s,
  'bootstrap.cluster.x-k8s.io/MicroK8sConfig': microk8s,
};

/**
 * How a host gets rid of a machine: the user's own commands, else what its bootstrap provider's tools need.
 * Files that the bootstrap data wrote are not in it; the runner knows and removes those.
 * @returns undefined if there is neither: no cleanup is known
 */
export function planCleanup(input: CleanupInput): CleanupPlan | undefined {
  if (input.commands !== undefined && input.commands.length > 0) return cleanUpCommands(input.commands);
  if (input.bootstrap === undefined) return undefined;
  const { group, kind } = input.bootstrap;
  const known = `${group}/${kind}`;
  return Object.hasOwn(PROVIDERS, known) ? PROVIDERS[known] : undefined;
}
