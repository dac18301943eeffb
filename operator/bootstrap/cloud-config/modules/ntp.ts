import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import { defineModule, scriptStep } from '../module.ts';
import { flag, listOf } from '../values.ts';
import { PACKAGE_MANAGERS } from './package_managers.ts';

/** A name or an address; it stands in the configuration of a client as it is. */
const server = z.string().regex(/^[A-Za-z0-9:][A-Za-z0-9.:_-]*$/, 'is not a host name or an address');

const CLIENTS = ['chrony', 'systemd-timesyncd', 'ntp'] as const;
const client = z
  .union([z.enum(['auto', 'chrony', 'systemd-timesyncd', 'ntp', 'ntpd']), z.null()], {
    error: 'is not a client that can be set up; there are auto, chrony, systemd-timesyncd and ntp',
  })
  .transform((value) => (value === 'ntpd' ? 'ntp' : (value ?? 'auto')));

const settings = z
  .strictObject({
    enabled: flag.optional(),
    ntp_client: client.optional(),
    servers: listOf(server).optional(),
    pools: listOf(server).optional(),
  })
  .nullable();

/**
 * Time from the given servers, by the client that the host has (cloud-init's order: chrony, systemd-timesyncd, ntp); where it has
 * none, or not the one that is asked for, its package is installed. Without servers and pools the client keeps those that its own
 * configuration names, and is started.
 */
export const ntp = defineModule({
  keys: { ntp: settings },
  plan({ ntp: value }) {
    if (value === undefined || value?.enabled === false) return [];
    const chosen = value?.ntp_client ?? 'auto';
    return [scriptStep('ntp', ntpScript(chosen === 'auto' ? [...CLIENTS] : [chosen], value?.servers ?? [], value?.pools ?? []))];
  },
});

type Client = (typeof CLIENTS)[number];

const DETECT: Record<Client, string> = {
  chrony: 'has chronyd',
  'systemd-timesyncd': '[ -x /lib/systemd/systemd-timesyncd ] || [ -x /usr/lib/systemd/systemd-timesyncd ]',
  ntp: 'has ntpd',
};
const SERVICES: Record<Client, string> = { chrony: 'chrony chronyd', 'systemd-timesyncd': 'systemd-timesyncd', ntp: 'ntpsec ntp ntpd' };

function ntpScript(clients: Client[], servers: string[], pools: string[]): string {
  const lines = [...pools.map((name) => `pool ${name} iburst`), ...servers.map((name) => `server ${name} iburst`)];
  const configure: Record<Client, string> = {
    chrony: `replace_servers /etc/chrony/chrony.conf /etc/chrony.conf`,
    'systemd-timesyncd': `mkdir -p /etc/systemd/timesyncd.conf.d
printf '[Time]\\nNTP=%s\\n' ${quote([...servers, ...pools].join(' '))} >/etc/systemd/timesyncd.conf.d/90-cluster-api.conf`,
    ntp: `replace_servers /etc/ntpsec/ntp.conf /etc/ntp.conf`,
  };
  const branches = clients.map((name, index) => {
    const body = [...(lines.length === 0 ? [] : [configure[name]]), `restart ${SERVICES[name]}`].join('\n').replaceAll(/^/gm, '    ');
    return `  ${index === 0 ? 'if' : 'elif'} ${DETECT[name]}; then\n${body}`;
  });
  const missing = clients[0] ?? 'chrony';
  return `set -eu
has() {
  command -v "$1" >/dev/null 2>&1
}
${lines.length === 0 || clients.every((name) => name === 'systemd-timesyncd') ? '' : replaceServers(lines)}${RESTART}
set_up() {
${branches.join('\n')}
  else
    return 9
  fi
}
installed() {
  if ${clients.map((name) => DETECT[name]).join(' || ')}; then return 0; fi
  return 1
}
if ! installed; then
${install(missing).replaceAll(/^(?=.)/gm, '  ')}fi
if ! installed; then
  echo ${quote(`no time client is installed on this host; install ${clients.join(' or ')}`)} >&2
  exit 1
fi
set_up
`;
}

/** Where there is a package manager; a package has its client's name. */
function install(name: Client): string {
  const branches = PACKAGE_MANAGERS.map(({ tool, prelude = [], ...manager }, index) => {
    const lines = [...prelude, `${manager.update} || :`, `${manager.install} ${name}`];
    return `${index === 0 ? 'if' : 'elif'} has ${tool}; then\n${lines.map((line) => `  ${line}\n`).join('')}`;
  });
  return `${branches.join('')}fi\n`;
}

/** Keeps what the distribution configured besides servers; the first original stays beside it as .dist, as in cloud-init. */
function replaceServers(lines: string[]): string {
  return `replace_servers() {
  file=$2
  if [ -e "$1" ] || [ -d "\${1%/*}" ]; then
    file=$1
  fi
  if [ -e "$file" ] && [ ! -e "$file.dist" ]; then
    cp -p "$file" "$file.dist"
  fi
  {
    printf '%s\\n' ${lines.map(quote).join(' ')}
    if [ -e "$file.dist" ]; then
      grep -Ev '^[[:space:]]*(server|pool|peer)[[:space:]]' "$file.dist" || :
    fi
  } >"$file.new"
  chmod 0644 "$file.new"
  mv "$file.new" "$file"
}
`;
}

/** Restarts the first of the named services that the host has, and lets it start at boot. */
const RESTART = `restart() {
  for service; do
    if [ -d /run/systemd/system ]; then
      if systemctl cat "$service.service" >/dev/null 2>&1; then
        systemctl enable "$service.service" >/dev/null 2>&1 || :
        systemctl restart "$service.service"
        return
      fi
    elif [ -x "/etc/init.d/$service" ]; then
      if has rc-update; then
        rc-update add "$service" default >/dev/null 2>&1 || :
      fi
      "/etc/init.d/$service" restart
      return
    fi
  done
  echo "the time client is installed, and none of its services is: $*" >&2
  return 1
}`;
