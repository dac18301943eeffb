import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import { defineModule, scriptStep } from '../module.ts';

const name = z.string().regex(/^[A-Za-z][A-Za-z0-9_.@-]*$/, 'is not the name of a locale');
const file = z.string().regex(/^\/[^\0\n]*$/, 'is not an absolute path');

/** The language of the host's programs; false leaves it as it is. */
export const locale = defineModule({
  keys: {
    locale: z.union([name, z.literal(false), z.null()], { error: 'expected the name of a locale, or false' }),
    locale_configfile: file,
  },
  plan: ({ locale: chosen, locale_configfile: path }) =>
    typeof chosen === 'string' ? [scriptStep('locale', localeScript(chosen, path))] : [],
});

/** Debian's family generates locales, others bring them as packages. C and POSIX are in every libc. */
function localeScript(chosen: string, path = ''): string {
  const generate = ['c', 'c.utf-8', 'posix'].includes(chosen.toLowerCase()) ? '' : GENERATE;
  return `set -eu
locale=${quote(chosen)}
file=${quote(path)}
if [ -e /etc/debian_version ]; then
  file=\${file:-/etc/default/locale}
${generate}  if command -v update-locale >/dev/null 2>&1; then
    update-locale --locale-file="$file" "LANG=$locale"
    exit 0
  fi
fi
file=\${file:-/etc/locale.conf}
rest=$(grep -v '^[[:space:]]*LANG=' "$file" 2>/dev/null || :)
if [ -n "$rest" ]; then
  printf '%s\\n' "$rest" "LANG=$locale" >"$file"
else
  printf '%s\\n' "LANG=$locale" >"$file"
fi
`;
}

const GENERATE = `  if [ "$(sed -n 's/^LANG=//p' "$file" 2>/dev/null | tr -d '"')" != "$locale" ]; then
    if ! command -v locale-gen >/dev/null 2>&1; then
      echo "locale-gen is not installed on this host; install the package locales" >&2
      exit 127
    fi
    locale-gen "$locale"
  fi
`;
