import type { CleanupPlan } from './plan.ts';
import {
  CLEAN_NETWORK,
  EMPTY,
  LIMITED,
  NETWORK_IS_CLEAN,
  NO_POD,
  noProcess,
  noService,
  nothingAt,
  REMOVE_SENTINEL,
  script,
  STOP_UNIT,
} from './shell.ts';

/** What RKE2 and K3s differ in: both come with scripts that stop and remove them, made by their installer. */
export interface Distribution {
  source: string;
  services: string[];
  /** Of which those that exist are run, in this order; killall first, as it ends what a stopped service leaves running. */
  scripts: { killall: string; uninstall: string[] };
  /** Directories that are theirs alone. */
  directories: string[];
  processes: string[];
}

function runScripts(names: string[]): string {
  return `status=0
run() {
  if has "$1"; then
    limited 300 "$1" || status=$?
  fi
}
${names.map((name) => `run ${name}`).join('\n')}
exit "$status"`;
}

export function rancherPlan(distribution: Distribution): CleanupPlan {
  const { source, services, scripts, directories, processes } = distribution;
  const removeFiles = `for directory in ${directories.join(' ')}; do
  empty "$directory"
done
rmdir /etc/rancher /var/lib/rancher 2>/dev/null || :
${REMOVE_SENTINEL}`;
  return {
    source,
    commands: [
      { name: `stop ${source}`, script: script([STOP_UNIT], services.map((name) => `stop_unit ${name}`).join('\n')), mayFail: true },
      { name: scripts.killall, script: script([LIMITED], runScripts([scripts.killall])), mayFail: true },
      { name: scripts.uninstall.join(', '), script: script([LIMITED], runScripts(scripts.uninstall)), mayFail: true },
      { name: `remove files of ${source}`, script: script([EMPTY], removeFiles), mayFail: true },
      { name: 'clean the network', script: CLEAN_NETWORK, mayFail: true },
    ],
    checks: [
      noService(services),
      noProcess(`no process of ${source} is alive`, processes),
      NO_POD,
      nothingAt(`no data, token or configuration of ${source}`, directories),
      nothingAt(
        `no service file of ${source}`,
        services.flatMap((name) => ['/etc/systemd/system', '/usr/local/lib/systemd/system'].map((place) => `${place}/${name}.service`)),
      ),
      NETWORK_IS_CLEAN,
    ],
  };
}
