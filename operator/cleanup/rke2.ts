import { rancherPlan } from './rancher.ts';

/** RKE2Config of the Cluster API RKE2 provider, whose bootstrap installs RKE2 with its installer. */
export const rke2 = rancherPlan({
  source: 'rke2',
  services: ['rke2-server', 'rke2-agent'],
  scripts: { killall: 'rke2-killall.sh', uninstall: ['rke2-uninstall.sh'] },
  directories: ['/etc/rancher/rke2', '/etc/rancher/node', '/var/lib/rancher/rke2', '/var/lib/kubelet', '/run/k3s'],
  processes: ['*/rke2', '/var/lib/rancher/rke2/*'],
});
