import { quote } from '../../../ssh/quote.ts';

const words = (list: string[]): string => list.map(quote).join(' ');
const script = (parts: string[]): string => `${parts.join('\n')}\n`;

/** A link in the place of a unit's file is replaced, not written through. */
export const prepareScript = (paths: string[]): string =>
  script(['set -eu', `for path in ${words(paths)}; do`, '  if [ -L "$path" ]; then rm -f "$path"; fi', 'done']);

export const maskScript = (path: string): string =>
  script(['set -eu', `path=${quote(path)}`, '(umask 022 && mkdir -p "${path%/*}")', 'rm -rf "$path"', 'ln -s /dev/null "$path"']);

export const unmaskScript = (path: string): string =>
  script(['set -eu', `path=${quote(path)}`, 'if [ "$(readlink "$path" || :)" = /dev/null ]; then', '  rm -f "$path"', 'fi']);

interface Changes {
  enabled: string[];
  disabled: string[];
  stopped: string[];
  changed: string[];
}

/** What a first boot makes of the presets, and what runs already gets to know its new files. */
export function applyScript({ enabled, disabled, stopped, changed }: Changes): string {
  const each = (list: string[], lines: string[]) =>
    list.length === 0 ? [] : [`units=${quote(list.join(' '))}`, 'for unit in $units; do', ...lines.map((line) => `  ${line}`), 'done'];
  const parts = [
    'set -euf',
    'if ! command -v systemctl >/dev/null 2>&1; then',
    '  echo "this host has no systemd: units are written, and nothing starts them"',
    '  exit 0',
    'fi',
    ...each(disabled, [
      'if systemctl is-enabled "$unit" >/dev/null 2>&1; then',
      '  systemctl disable "$unit"',
      '  (umask 022 && mkdir -p /etc/systemd/system-preset && echo "disable $unit" >>/etc/systemd/system-preset/20-ignition.preset)',
      'fi',
    ]),
    'if [ ! -d /run/systemd/system ]; then exit 0; fi',
    'systemctl daemon-reload',
    ...each(enabled, [
      'case $(systemctl show --property=LoadState --value "$unit") in',
      'not-found | masked) ;;',
      '*) systemctl preset --preset-mode=enable-only "$unit" ;;',
      'esac',
    ]),
    ...each(stopped, ['systemctl stop "$unit" || [ "$(systemctl show --property=LoadState --value "$unit")" = not-found ]']),
    ...each(changed, ['systemctl try-restart "$unit"']),
  ];
  return script(parts);
}

/**
 * Starts those that a boot would start, together, and ends once they have started, or one of them has failed. What the host does not
 * have is passed over, and so is what no boot starts: it may be there for a shutdown, or for a timer.
 */
export function startScript(enabled: string[], fresh: string[]): string {
  return script([
    'set -euf',
    `known='' anew='' units=${quote(enabled.join(' '))} fresh=${quote(` ${fresh.join(' ')} `)}`,
    BOOT,
    'boot=$(boot)',
    '# What is enabled along with them.',
    '# shellcheck disable=SC2086 # words',
    `units="$units $(systemctl cat -- $units 2>/dev/null | sed -n 's/^Also= *//p' | tr -s ' ' '\\n' | sed '/%/d')"`,
    'for unit in $units; do',
    '  case $(systemctl show --property=LoadState --value -- "$unit") in',
    '  not-found) echo "this host has no $unit: it is not started" && continue ;;',
    '  masked) echo "$unit is masked on this host: it is not started" && continue ;;',
    '  esac',
    '  systemctl reset-failed "$unit" 2>/dev/null || :',
    '  case $boot in',
    '  *" $(systemctl show --property=Id --value -- "$unit") "*) ;;',
    '  *)',
    '    echo "no boot starts $unit: it is enabled, and not started now"',
    '    case $fresh in *" $unit "*) systemctl try-restart "$unit" ;; esac',
    '    continue',
    '    ;;',
    '  esac',
    '  case $fresh in',
    '  *" $unit "*) anew="$anew $unit" ;;',
    '  *) known="$known $unit" ;;',
    '  esac',
    'done',
    FAILED,
    START,
  ]);
}

/** For a unit that goes on after it has started: until the file is there, one has failed, or none is left that could write it. */
export function sentinelScript(enabled: string[], sentinel: string): string {
  return script([
    'set -eu',
    `known=${quote(enabled.join(' '))} anew=''`,
    FAILED,
    `while [ ! -e ${quote(sentinel)} ]; do`,
    '  if failed; then exit 1; fi',
    '  running=no',
    '  for unit in $known; do',
    '    case $(systemctl show --property=ActiveState,SubState "$unit" | tr "\n" " ") in',
    '    *"SubState=exited "*) ;;',
    '    "ActiveState=active "* | *activating* | "ActiveState=reloading "*) running=yes ;;',
    '    esac',
    '  done',
    '  [ "$running" = yes ] || break',
    '  sleep 1',
    'done',
  ]);
}

/**
 * The names are those that systemd itself has. What merely stops with a unit (PartOf), or has to run before it (Requisite), is not
 * started by it, which rules out `systemctl list-dependencies`; and what a masked unit would want is not wanted.
 */
const BOOT = `boot() { # all that a boot starts: what its target and the devices that are there pull in, and what is pulled in by that
  found=' '
  next="default.target $(systemctl list-units --type=device --state=active --plain --no-legend | sed 's/ .*//' | tr '\\n' ' ')"
  while [ -n "$next" ]; do
    # shellcheck disable=SC2086 # words
    pulled=$({ systemctl show --property=Id,LoadState,Requires,BindsTo,Wants,Upholds -- $next && echo; } | {
      state='' words=''
      while IFS='=' read -r key value; do
        case $key in
        LoadState) state=$value ;;
        '')
          [ "$state" != loaded ] || printf '%s\\n' "$words"
          words=''
          ;;
        *) words="$words $value" ;;
        esac
      done
    })
    next=''
    for unit in $pulled; do
      case $found in
      *" $unit "*) ;;
      *) found="$found$unit " next="$next $unit" ;;
      esac
    done
  done
  printf '%s\\n' "$found"
}`;

const FAILED = `failed() { # says which one has failed, with its last words
  for unit in $known $anew; do
    if systemctl is-failed --quiet "$unit"; then
      journalctl --quiet --no-pager --output=cat --lines=20 --unit="$unit" 2>/dev/null || :
      echo "$unit has failed: $(systemctl show --property=Result --value "$unit")" >&2
      return 0
    fi
  done
  return 1
}`;

const START = `start() { # VERB UNITS
  if [ $# -gt 1 ]; then systemctl "$@" </dev/null; fi
}
# shellcheck disable=SC2086 # words
start restart $anew &
restarting=$!
# shellcheck disable=SC2086
start start $known &
starting=$!
while kill -0 "$restarting" 2>/dev/null || kill -0 "$starting" 2>/dev/null; do
  if failed; then exit 1; fi
  sleep 1
done
code=0
wait "$restarting" || code=$?
wait "$starting" || code=$?
if failed; then exit 1; fi
exit "$code"`;
