import { posix } from 'node:path';
import { quote } from '../../../ssh/quote.ts';
import type { Apt, Mirror, Source } from './apt.ts';
import { hasKey, keyLines } from './apt_keys.ts';

const TOOL = `command -v apt-get >/dev/null 2>&1 || { echo "this host has no apt" >&2; exit 127; }`;

/** cloud-init's answers to packages that are there already are taken by dpkg-reconfigure, of its own package alone. */
export const debconfScript = (selections: string[]) => `set -eu
command -v debconf-set-selections >/dev/null 2>&1 || { echo "this host has no debconf" >&2; exit 127; }
printf '%s\\n' ${selections.map(quote).join(' ')} | debconf-set-selections
`;

/** Names in a text of the document become words of the host: its release and its mirrors. */
function filled(given: string): string {
  const pieces = given.split(/(\$\{?[A-Za-z_]+\}?)/);
  const words = pieces.flatMap((piece, index) => {
    const name = index % 2 === 1 ? NAMES[/[A-Za-z_]+/.exec(piece)?.[0].toUpperCase() ?? ''] : undefined;
    return piece === '' ? [] : [name === undefined ? quote(piece) : `"$${name}"`];
  });
  return words.join('');
}

const NAMES: Record<string, string> = {
  RELEASE: 'release',
  CODENAME: 'release',
  MIRROR: 'primary',
  PRIMARY: 'primary',
  SECURITY: 'security',
  KEY_FILE: 'key_file',
};

/** Sets release, primary and security; the mirrors are those of the document, else the distribution's own. */
function words(apt: Apt): string {
  const choose = (name: string, mirrors: Mirror[]) => {
    const branches = mirrors.flatMap(({ arches, uri }) => {
      const named = arches.filter((arch) => arch !== 'default');
      return named.length === 0 ? [] : [`${named.join(' | ')}) ${name}=${quote(uri)} ;;`];
    });
    const fallback = mirrors.find(({ arches }) => arches.includes('default'));
    const last = fallback === undefined ? [] : [`*) ${name}=${quote(fallback.uri)} ;;`];
    return `case $(dpkg --print-architecture) in\n${[...branches, ...last].join('\n')}\nesac`;
  };
  const primary = apt.primary ?? [];
  const security = apt.security ?? [];
  return `release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release | tr -d '"')
primary=http://archive.ubuntu.com/ubuntu security=http://security.ubuntu.com/ubuntu
if ! grep -q '^ID=ubuntu' /etc/os-release; then
  primary=https://deb.debian.org/debian security=https://deb.debian.org/debian-security
fi
${[...(primary.length > 0 ? [choose('primary', primary)] : []), ...(security.length > 0 ? [choose('security', security)] : primary.length > 0 ? ['security=$primary'] : [])].join('\n')}`;
}

/** /etc/apt/sources.list from the document's text. */
export function aptScript(apt: Apt, list: string): string {
  const keys = (['primary', 'security'] as const).flatMap((name) =>
    (apt[name] ?? []).flatMap((mirror) => keyLines(mirror, `/etc/apt/trusted.gpg.d/${name}.gpg`, `apt.${name}`)),
  );
  const disabled = (apt.disable_suites ?? []).map((suite) => `disable ${filled(SUITES[suite] ?? suite)}`);
  return `set -eu
${[TOOL, words(apt), ...new Set(keys)].join('\n')}
umask 022
printf %s ${filled(list)} >/etc/apt/sources.list
${disabled.length > 0 ? `${DISABLE}\n${disabled.join('\n')}\n` : ''}`;
}

const SUITES: Record<string, string> = {
  updates: '$RELEASE-updates',
  backports: '$RELEASE-backports',
  security: '$RELEASE-security',
  proposed: '$RELEASE-proposed',
  release: '$RELEASE',
};

/** The suite is the third word, after options in brackets the next. */
const DISABLE = `disable() { # SUITE
  suite=$(printf '%s\\n' "$1" | sed 's/[.[*^$/]/\\\\&/g')
  sed "s/^deb\\(-src\\)\\{0,1\\}[[:space:]]\\{1,\\}\\(\\[[^]]*\\][[:space:]]\\{1,\\}\\)\\{0,1\\}[^[:space:]]\\{1,\\}[[:space:]]\\{1,\\}$suite\\([[:space:]].*\\)\\{0,1\\}$/# suite disabled: &/" \\
    /etc/apt/sources.list >/etc/apt/sources.list.new
  cat /etc/apt/sources.list.new >/etc/apt/sources.list
  rm -f /etc/apt/sources.list.new
}`;

/** A PPA is what add-apt-repository takes. */
const REPOSITORY = /^[\w-]+:\w/;

/** One entry of sources: its key, its file; what apt knows of it is read by the step that needs packages, or here. */
export function sourceScript(apt: Apt, name: string, source: Source): string {
  const path = pathOf(source.filename ?? name);
  const parts = ['set -eu', TOOL, words(apt), 'umask 022'];
  const ownKey = source.source?.includes('$KEY_FILE') === true;
  const stem = posix.basename(source.filename ?? path).replace(/\.[^.]*$/, '');
  if (hasKey(source)) {
    const folder = ownKey ? '/etc/apt/cluster-api.gpg.d' : '/etc/apt/trusted.gpg.d';
    parts.push(`key_file=${quote(`${folder}/${stem}.gpg`)}`, ...keyLines(source, '"$key_file"', `apt.sources ${name}`));
  }
  if (source.source !== undefined) {
    if (REPOSITORY.test(source.source)) parts.push(`add-apt-repository --no-update ${quote(source.source.trim())}`);
    else
      parts.push(
        `mkdir -p ${quote(posix.dirname(path))}`,
        `printf '%s\\n' ${filled(source.source)} ${source.append === false ? '>' : '>>'}${quote(path)}`,
      );
  }
  return `${parts.join('\n')}\n`;
}

function pathOf(filename: string): string {
  const path = posix.resolve('/etc/apt/sources.list.d', filename);
  return path.endsWith('.list') ? path : `${path}.list`;
}
