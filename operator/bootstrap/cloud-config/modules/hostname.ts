import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import type { Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import { flag } from '../values.ts';

const name = z
  .string()
  .max(253, 'is longer than 253 characters')
  .regex(/^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*$/, 'is not a host name');

const manageEtcHosts = z.union([z.boolean(), z.string(), z.null()], { error: 'expected true, false or localhost' }).transform((value) => {
  const word = String(value).toLowerCase().trim();
  return word === 'localhost' ? ('localhost' as const) : ['true', '1', 'on', 'yes', 'template'].includes(word);
});

/** The host's name (cloud-init's set_hostname) and its own line in /etc/hosts (update_etc_hosts). */
export const hostname = defineModule({
  keys: {
    hostname: name,
    fqdn: name,
    prefer_fqdn_over_hostname: flag,
    preserve_hostname: flag,
    manage_etc_hosts: manageEtcHosts,
  },
  plan(values, { instance, note }) {
    const names = namesOf(values, instance.hostname);
    const steps: Step[] = [];
    const given = values.fqdn ?? values.hostname;
    if (given !== undefined && values.preserve_hostname !== true) {
      const chosen = values.prefer_fqdn_over_hostname === true ? names.fqdn : names.hostname;
      // What the document does not say is the distribution's habit. Without a domain in it there is nothing to prefer.
      const whole = values.prefer_fqdn_over_hostname === undefined && given === names.fqdn ? names.fqdn : chosen;
      steps.push(scriptStep(`hostname ${chosen}`, setScript(chosen, whole)));
    }
    if (values.manage_etc_hosts !== undefined && values.manage_etc_hosts !== false) {
      if (values.manage_etc_hosts === true) {
        note('EtcHostsKept', ['manage_etc_hosts'], 'the line of the host itself is set; the rest of /etc/hosts stays as it is');
      }
      steps.push(scriptStep('manage_etc_hosts', hostsScript(names.fqdn, names.hostname)));
    }
    return steps;
  },
});

/** cloud-init's get_hostname_fqdn: a fqdn gives the hostname its first label, a hostname with dots is a fqdn, else that is the host's own name. */
function namesOf(values: { hostname?: string; fqdn?: string }, own: string): { hostname: string; fqdn: string } {
  const label = (full: string) => full.split('.')[0] ?? full;
  if (values.fqdn !== undefined) return { hostname: values.hostname ?? label(values.fqdn), fqdn: values.fqdn };
  const full = values.hostname ?? own;
  return { hostname: label(full), fqdn: full.includes('.') ? full : own };
}

/** In Red Hat's family, Photon OS and Azure Linux cloud-init gives a host its whole name. */
const WHOLE = 'rhel | fedora | centos | photon | mariner | azurelinux | openEuler';

function setScript(chosen: string, whole: string): string {
  const word = '"$name"';
  const choice = `for family in $(sed -n 's/^ID\\(_LIKE\\)\\{0,1\\}=//p' /etc/os-release 2>/dev/null | tr -d '"'); do
  case $family in ${WHOLE}) name=${quote(whole)} ;; esac
done
`;
  return `set -eu
name=${quote(chosen)}
${whole === chosen ? '' : choice}if [ -d /run/systemd/system ] && command -v hostnamectl >/dev/null 2>&1 && hostnamectl set-hostname ${word}; then
  exit 0
fi
printf '%s\\n' ${word} >/etc/hostname
hostname ${word}
`;
}

/** Adds the line where no other says the same; /etc/hosts is often a mount of its own, so it is written in place. */
function hostsScript(fqdn: string, hostname: string): string {
  return `set -eu
while read -r address name aliases; do
  case "$address $name" in
  ${quote(`127.0.1.1 ${fqdn}`)})
    case " $aliases " in *" ${hostname} "*) exit 0 ;; esac
    ;;
  esac
done <<END
$(sed 's/#.*//' /etc/hosts 2>/dev/null | tr '\\t' ' ')
END
if [ -n "$(tail -c 1 /etc/hosts 2>/dev/null)" ]; then
  echo >>/etc/hosts
fi
printf '127.0.1.1\\t%s\\t%s\\n' ${quote(fqdn)} ${quote(hostname)} >>/etc/hosts
`;
}
