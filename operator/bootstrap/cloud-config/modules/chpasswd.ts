import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import type { Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import { flag, line, listOf } from '../values.ts';
import { accountName, requireTool } from './accounts.ts';

interface Password {
  name: string;
  password: string;
  hashed: boolean;
}

const RANDOM = 'a random password would be shown to nobody: cloud-init prints it to the console; give a password or its hash';
const HASH = /^\$(?:1|2a|2y|5|6|y)\$[^:]+\$[^:]+$/;

const entry = z
  .strictObject({ name: accountName, password: line.min(1, 'is empty').optional(), type: z.enum(['hash', 'text', 'RANDOM']).optional() })
  .transform(({ name, password, type = 'hash' }, context): Password => {
    if (type === 'RANDOM')
      context.addIssue({ code: 'custom', path: ['type'], message: RANDOM, params: { reason: 'BootstrapKeyUnsupported' } });
    else if (password === undefined) context.addIssue({ code: 'custom', path: ['password'], message: 'is missing' });
    return { name, password: password ?? '', hashed: type === 'hash' };
  });

/** `user:password`, where a hash is known by its form. */
const pair = line.transform((value, context): Password => {
  const [, name = '', password = ''] = /^([^:]*):(.*)$/.exec(value) ?? [];
  if (!accountName.safeParse(name).success || password === '') {
    context.addIssue({ code: 'custom', message: "is not 'user:password'" });
  } else if (password === 'R' || password === 'RANDOM') {
    context.addIssue({ code: 'custom', message: RANDOM, params: { reason: 'BootstrapKeyUnsupported' } });
  }
  return { name, password, hashed: HASH.test(password) };
});

const list = z
  .union([z.string().transform((value) => value.split(/\r?\n/).filter((one) => one !== '')), z.array(z.unknown()), z.null()], {
    error: "expected a list of 'user:password'",
  })
  .transform((value) => value ?? [])
  .pipe(z.array(pair));

const settings = z.strictObject({ expire: flag.optional(), users: listOf(entry).optional(), list: list.optional() }).nullable();

/** Anything else leaves the setting as it is. */
const passwordLogin = z.union([z.boolean(), z.string(), z.null()], { error: 'expected true, false or unchanged' }).transform((value) => {
  const word = String(value).toLowerCase().trim();
  if (['true', '1', 'on', 'yes'].includes(word)) return 'yes';
  return ['false', '0', 'off', 'no'].includes(word) ? 'no' : undefined;
});

/** Passwords of existing users, and whether SSH takes passwords (cloud-init's set_passwords). */
export const chpasswd = defineModule({
  keys: { chpasswd: settings, ssh_pwauth: passwordLogin },
  plan(values) {
    const passwords = [...(values.chpasswd?.users ?? []), ...(values.chpasswd?.list ?? [])];
    const steps: Step[] = [];
    if (passwords.length > 0) steps.push(scriptStep('chpasswd', passwordScript(passwords, values.chpasswd?.expire ?? true)));
    if (values.ssh_pwauth !== undefined) steps.push(scriptStep('ssh_pwauth', loginScript(values.ssh_pwauth)));
    return steps;
  },
});

/** Passwords go through printf, a builtin of every sh, so that no argument list on the host shows them. */
function passwordScript(passwords: Password[], expire: boolean): string {
  const set = (hashed: boolean) => {
    const chosen = passwords.filter((one) => one.hashed === hashed).map(({ name, password }) => `${name}:${password}`);
    return chosen.length === 0 ? [] : [`printf '%s\\n' ${chosen.map(quote).join(' ')} | chpasswd${hashed ? ' -e' : ''}`];
  };
  const expired = [...passwords].sort((a, b) => Number(a.hashed) - Number(b.hashed)).map(({ name }) => `passwd --expire ${quote(name)}`);
  return ['set -eu', requireTool('chpasswd'), ...set(false), ...set(true), ...(expire ? expired : []), ''].join('\n');
}

const ANY_CASE = 'PasswordAuthentication'.replaceAll(/[a-z]/gi, (letter) => `[${letter.toUpperCase()}${letter.toLowerCase()}]`);

/** In a file of its own where sshd_config includes such, else in sshd_config. The first setting that sshd reads counts, so it comes before the file of a cloud-init that set up the image. */
function loginScript(value: 'yes' | 'no'): string {
  return `set -eu
setting='PasswordAuthentication ${value}'
file=/etc/ssh/sshd_config
if grep -Eqi '^[[:space:]]*include[[:space:]]+/etc/ssh/sshd_config\\.d/\\*\\.conf' "$file" 2>/dev/null; then
  file=/etc/ssh/sshd_config.d/40-cluster-api.conf
  (umask 022 && mkdir -p /etc/ssh/sshd_config.d)
  [ -e "$file" ] || (umask 077 && : >"$file")
fi
before=$(cat "$file")
if grep -Eqi '^[[:space:]]*PasswordAuthentication[[:space:]=]' "$file"; then
  after=$(sed "s/^[[:space:]]*${ANY_CASE}[[:space:]=].*/$setting/" "$file")
else
  after=$before\${before:+
}$setting
fi
if [ "$before" = "$after" ]; then
  exit 0
fi
printf '%s\\n' "$after" >"$file"
if [ -d /run/systemd/system ]; then
  systemctl try-reload-or-restart ssh.service 2>/dev/null || systemctl try-reload-or-restart sshd.service
elif [ -s /run/sshd.pid ]; then
  kill -HUP "$(cat /run/sshd.pid)"
fi
`;
}
