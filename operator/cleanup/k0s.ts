import type { CleanupCommand, CleanupPlan } from './plan.ts';
import {
  CLEAN_NETWORK,
  EMPTY,
  HAS,
  KILL_TREE,
  LIMITED,
  NETWORK_IS_CLEAN,
  noProcess,
  noService,
  nothingAt,
  REMOVE_SENTINEL,
  script,
  SHIMS,
  STOP_UNIT,
} from './shell.ts';

/** Leaves a larger etcd cluster in order. A single controller cannot leave itself, which exits 1 and is no fault. */
const LEAVE: CleanupCommand = {
  name: 'k0s etcd leave',
  script: script([LIMITED], 'has k0s || exit 0\nlimited 60 k0s etcd leave'),
  mayFail: true,
};

/** Stopping takes some seconds, and a reset refuses to run before: it is waited for, at most 2 minutes. */
const STOP = `for service in k0scontroller k0sworker; do
  stop_unit "$service"
done
k0s_is_alive() {
  for proc in /proc/[0-9]*; do
    case $(readlink "$proc/exe" 2>/dev/null) in
    */k0s | */k0s" (deleted)") return 0 ;;
    esac
  done
  return 1
}
if k0s_is_alive && has k0s; then
  k0s stop
fi
waited=0
while k0s_is_alive; do
  waited=$((waited + 1))
  if [ "$waited" -gt 120 ]; then
    echo 'k0s is still alive after 2 minutes'
    exit 1
  fi
  sleep 1
done`;

/** The directories that the service was installed with; k0s knows its default ones only. */
const RESET = `has k0s || exit 0
option() {
  cat /etc/systemd/system/k0scontroller.service /etc/systemd/system/k0sworker.service /etc/init.d/k0scontroller /etc/init.d/k0sworker 2>/dev/null |
    sed -n "s/.*--$1[= ]\\"\\{0,1\\}\\([^\\" ]*\\).*/\\1/p" | head -n 1
}
data=$(option data-dir)
kubelet=$(option kubelet-root-dir)
set -- reset
[ -z "$data" ] || set -- "$@" --data-dir "$data"
[ -z "$kubelet" ] || set -- "$@" --kubelet-root-dir "$kubelet"
limited 300 k0s "$@"`;

/** What k0smotron's bootstrap data writes: of a host that its infrastructure provider set up, no run tells. */
const DOCUMENTS = { controller: ['/etc/k0s.yaml', '/etc/k0s.token'], worker: ['/etc/k0s.token'] };

const removeFiles = (documents: string[]): string => `for directory in /var/lib/k0s /run/k0s /etc/k0s; do
  empty "$directory"
done
rm -f ${documents.join(' ')}
${REMOVE_SENTINEL}`;

/** K0sControllerConfig and K0sWorkerConfig of k0smotron. The k0s program itself stays: it may belong to the image. */
export function k0s(role: 'controller' | 'worker'): CleanupPlan {
  return {
    source: 'k0s',
    commands: [
      ...(role === 'controller' ? [LEAVE] : []),
      { name: 'stop k0s', script: script([HAS, STOP_UNIT], STOP), mayFail: true },
      { name: 'k0s reset', script: script([LIMITED], RESET), mayFail: true },
      { name: 'stop pods', script: script([SHIMS, KILL_TREE], 'shims | kill_tree'), mayFail: true },
      { name: 'remove files of k0s', script: script([EMPTY], removeFiles(DOCUMENTS[role])), mayFail: true },
      { name: 'clean the network', script: CLEAN_NETWORK, mayFail: true },
    ],
    checks: [
      noService(['k0scontroller', 'k0sworker']),
      noProcess('no process of k0s is alive', ['*/k0s', '/var/lib/k0s/bin/*']),
      // k0s reset exits 0 when there is nothing left to reset, and 1 while k0s runs.
      { name: 'k0s reset finds nothing left', script: script([LIMITED], 'has k0s || exit 0\nlimited 60 k0s reset') },
      nothingAt('no data, socket or configuration of k0s', ['/var/lib/k0s', '/run/k0s', '/etc/k0s', ...DOCUMENTS[role]]),
      nothingAt('no service file of k0s', ['/etc/systemd/system/k0s*.service', '/etc/init.d/k0scontroller', '/etc/init.d/k0sworker']),
      NETWORK_IS_CLEAN,
    ],
  };
}
