# shellcheck shell=sh disable=SC2154 # variables of runner.sh
# How a run ends, and what ends with it: goes between runner.sh and the call, or files.sh.

belonging() { # sets pids to what lives of the run: by control group, environment or session
  pids='' keep=' ' sessions=' '
  up=$$
  while [ "$up" -gt 1 ] && process "$up"; do keep="$keep$up " up=$parent; done
  for job in "$VOLATILE/$run".*.*/alive; do
    job=${job%/alive}
    # Nobody else leads a session of that number while it has members.
    if [ -p "$job/alive" ] && read -r start <"$job/start" && { ! process "${job##*.}" || [ "$birth" = "$start" ]; }; then
      sessions="$sessions${job##*.} "
    fi
  done
  marked=$(marked_by_environment; grep -lsF "/$UNIT-$run." /proc/[0-9]*/cgroup)
  marked=" $(printf '%s' "$marked" | tr '\n' ' ') "
  for entry in /proc/[0-9]*; do
    id=${entry#/proc/}
    case $keep in *" $id "*) continue ;; esac
    process "$id" || continue
    case "$marked$sessions" in *"/proc/$id/"* | *" $session "*) pids="$pids $id" ;; esac
  done
  [ -n "$pids" ]
}

# One tail names the files before their contents. (Not grep -l: busybox's does not look beyond a NUL.)
marked_by_environment() {
  tail -c +1 /proc/[0-9]*/environ 2>/dev/null | tr '\000' '\n' | grep -F -e '==> /proc/' -e "$MARK=/$run/" |
    while read -r line; do
      case $line in "$MARK="*) printf '%s\n' "$file" ;; *) file=${line#==> } file=${file% <==} ;; esac
    done
}

each_noted() { # FUNCTION: calls it with target set to every path in $room/created, the newest first
  newest_first=
  for entry in "$room"/created/*; do
    paths=$(cat "$entry" 2>/dev/null && printf x) || continue
    paths=${paths%x}
    while next_path; do newest_first=$target${newest_first:+/$newest_first}; done
  done
  paths=$newest_first
  while next_path; do "$1" || return; done
}

next_path() { # takes the first from paths, where a slash more is between two
  case $paths in
    '') return 1 ;;
    *//*) target=${paths%%//*} paths=/${paths#*//} ;;
    *) target=$paths paths= ;;
  esac
}

service() { # sets service where systemd runs the host and target is a unit's file
  [ -d "$SYSTEMD" ] || return
  service=${target#/etc/systemd/system/}
  case $service in
    */* | *[!A-Za-z0-9:_.\\@-]*) return 1 ;;
    *@.*) service="${service%%@.*}@*.${service##*@.}" ;; # every instance
    *.service | *.socket | *.timer | *.path | *.mount | *.automount | *.swap | *.target) ;;
    *) return 1 ;;
  esac
}

# A unit goes on by itself. One that the run brought and that is still starting is what the run waits for.
end_service() {
  service || return 0
  case $(systemctl show --property=ActiveState "$service" 2>/dev/null) in
    *=activating*) systemctl kill --signal=KILL "$service" >/dev/null 2>&1 && systemctl stop "$service" >/dev/null 2>&1 ;;
  esac
  return 0
}

slay() { # 5 s to end, then 5 s to die
  each_noted end_service
  begun=$(date +%s) told=' '
  while belonging; do
    spent=$(($(date +%s) - begun))
    [ "$spent" -lt 11 ] || fail StillRunning "processes$pids of run $run would not die"
    for id in $pids; do
      case "$told" in
        *" $id "*) [ "$spent" -lt 6 ] || kill -KILL "$id" 2>/dev/null ;;
        *) told="$told$id " && kill "$id" 2>/dev/null ;;
      esac
    done
    sleep 0.1 2>/dev/null || sleep 1
  done
  rm -rf "$room"/bootstrap/data.* # not that of a cleanup, which another manager may be starting
}

do_kill() { # RUN
  if mine "$1"; then slay; fi
}

do_tidy() { # RUN. Who has told how the job ended may live on for a moment.
  mine "$1" || return 0
  if { ! alive bootstrap || [ -e "$room/bootstrap/result" ]; } && [ "$pid" != 0 ]; then
    rm -rf "$room"/bootstrap/data.*
    [ ! -e "$room/bootstrap/succeeded" ] || rm -f "$room/bootstrap/output"
  fi
}

do_clean() { # RUN GIVEN: answers with the job to follow, or that there is none; GIVEN: yes where its plan is uploaded
  boot
  mine "$1" || forsake "$1"
  mine "$1" || { say clean absent; return; }
  words=$(forbid 2>&1) || {
    mine "$1" || { say clean absent; return; }
    fail HostNotWritable "$words"
  }
  if never_starts; then release && say clean never && return; fi
  latest
  if confirmed; then say clean confirmed && return; fi
  if [ "$last" = 0 ] || ! alive "cleanup-$last"; then
    slay
    mine "$1" || { say clean absent; return; } # released by another, who has cleaned
    [ "$2" = yes ] || [ -d "$room/cleanup" ] || { say clean unknown; return; }
    rm -f "$room/cleanup-$last/output"
    last=$((last + 1))
    launch "cleanup-$last"
  fi
  say "clean follow cleanup-$last"
}

abandon() { # RUN-OR-UID whose claim a person gave up: what lives of it ends with it
  { read -r uid <"$CLAIM/uid"; } 2>/dev/null || uid=
  case $1 in "$holder" | "$uid") ;; *) return ;; esac
  if [ -z "$holder" ] || ! mine "$holder"; then return; fi
  slay
  release
}

withdraw() { # RUN whose machine is gone: its claim goes where nothing was ever started under it, nor is any more
  if [ "$1" = "$holder" ] && mine "$holder" && forbid >/dev/null 2>&1 && never_starts; then release; fi
}

do_withdraw() { # RUN: answers whether the host has a claim all the same
  boot
  mine "$1"
  withdraw "$1"
  mine "$1"
  if [ -n "$holder" ]; then say withdraw stays; else say withdraw gone; fi
}

never_starts() { # not as load has it: what can't be read may have run
  pid=
  { read -r pid _ <"$room/bootstrap/started"; } 2>/dev/null
  [ "$pid" = 0 ]
}

forbid() { # the start of a run that was not started yet
  folder "$room/bootstrap" && text "$room/bootstrap/started.$nonce" '0 0 0' || return
  ln "$room/bootstrap/started.$nonce" "$room/bootstrap/started" 2>/dev/null || :
  rm -f "$room/bootstrap/started.$nonce"
  [ -e "$room/bootstrap/started" ]
}

latest() { # sets last to the number of the cleanup that was started last, or 0
  last=0
  while [ -e "$room/cleanup-$((last + 1))/started" ]; do last=$((last + 1)); done
}

confirmed() { { read -r code _ <"$room/cleanup-$last/result"; } 2>/dev/null && [ "$code" = 0 ]; }

do_release() { # RUN
  boot
  if mine "$1" && latest && confirmed; then release; fi
}

forsake() { # RUN: whoever is still about to claim the host for it comes too late, or has claimed it by now
  gone=$STATE/gone.$boot.$nonce
  rm -f "$VOLATILE/$1".claim.*
  for made in "$STATE"/new.*/run."$1"; do
    [ ! -e "$made" ] || { mv "${made%/*}" "$gone" && rm -rf "$gone"; }
  done
}

release() {
  forsake "$run"
  gone=$STATE/gone.$boot.$nonce
  words=$(mv "$CLAIM" "$gone" 2>&1) || { [ ! -e "$CLAIM" ] || fail HostNotWritable "$words"; return 0; }
  read -r holder <"$gone/run"
  if [ "$holder" != "$run" ]; then place "$gone" "$CLAIM" && return; fi # another's, made since we looked
  flush "$STATE"
  for hello in "$VOLATILE/$run".*.hello.*; do
    [ ! -p "$hello" ] || printf 'released\n' 1<>"$hello"
  done
  rm -rf "$gone" "$VOLATILE/$run".*
}
