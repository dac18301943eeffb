import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import { defineModule, scriptStep } from '../module.ts';

const zone = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_+-]*(\/[A-Za-z0-9][A-Za-z0-9_+-]*)*$/, 'is not the name of a time zone');

/** The zone of the host's clock, of those that it has. */
export const timezone = defineModule({
  keys: { timezone: zone.nullable() },
  plan: ({ timezone: name }) => (typeof name === 'string' ? [scriptStep('timezone', timezoneScript(name))] : []),
});

/** A link stays one; a copy (where /usr is mounted late) stays one, too. */
function timezoneScript(name: string): string {
  return `set -eu
zone=${quote(name)}
file=/usr/share/zoneinfo/$zone
if [ ! -f "$file" ]; then
  echo "this host has no time zone $zone (package tzdata)" >&2
  exit 1
fi
if [ -e /etc/timezone ] || [ -e /etc/debian_version ]; then
  printf '%s\\n' "$zone" >/etc/timezone
fi
if [ -L /etc/localtime ] || [ ! -e /etc/localtime ]; then
  ln -sfn "$file" /etc/localtime
else
  cp "$file" /etc/localtime
fi
`;
}
