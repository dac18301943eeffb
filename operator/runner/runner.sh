#!/bin/sh
# The runner: everything that happens on a host. POSIX sh (dash, busybox, bash), sent whole on the standard input of
# `/bin/sh -s` with ending.sh and one call of `main` after it, so that no version of it grows old on a host. What goes on
# detached is a copy of it with files.sh and job.sh. Nothing but definitions comes before the call: a program cut off on its way does nothing.
#
# $STATE/claim/                    root only, there completely or not at all
#   run namespace name uid         who has the host
#   run.RUN/                       made with the claim and by nothing else: who comes late finds no room in another's
#     cleanup/                     how to get rid of the run, if nobody says otherwise by then: steps and scripts
#     created/files beside         what was not there before the run, and .UNIT.run.RUN in folders, where files are first, alone (with a
#                                  dot and a number more) or together; a slash more between two. N: more of beside
#     bootstrap/ cleanup-N/        jobs
#       data.BOOT/                 steps, their contents and this program; of one boot, gone when the job ended
#       started                    pid, start time and date of the one process that ever runs the job; pid 0: nobody may. With its
#                                  pid at the end: who would be that process, until the job has ended
#       output                     what the commands print, with marks: \036RUN command|end ...
#       boot                       the boot in which the job began
#       current result             kind and name of the step; exit code, date, sentinel, kind and name, and the boot that a reboot is to end
# $VOLATILE/RUN.JOB.PID/alive      FIFO that this process holds open as long as it lives
# $VOLATILE/RUN.claim.NONCE        somebody is about to claim the host for the run; taken away, it comes too late
STATE=/var/lib/cluster-api-provider-remote
VOLATILE=/run/cluster-api-provider-remote
SYSTEMD=/run/systemd/system
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# As systemd has it there for its services, cloud-init's among them.
[ ! -x /usr/lib/systemd/system-environment-generators/snapd-env-generator ] || PATH=$PATH:/snap/bin
LC_ALL=C
export PATH LC_ALL
umask 077
CLAIM=$STATE/claim
UNIT=cluster-api-provider-remote
MARK=CLUSTER_API_PROVIDER_REMOTE

# ---- answers: lines that begin with the caller's nonce, so that whatever else prints is not mistaken for one

main() { # NONCE VERB ARGUMENTS
  nonce=$1 verb=$2
  shift 2
  # Bash has been given the program at once, and has its input there already.
  [ -n "${program-}" ] || exec 3<&0 </dev/null
  printf '\n'
  say begin
  "do_$verb" "$@"
  finish
}

say() { printf '%s %s\n' "$nonce" "$*"; }

finish() {
  say end
  exit 0
}

fail() { # REASON TEXT
  reason=$1
  set -f
  IFS='
'
  # shellcheck disable=SC2086 # one word a line
  set -- $2
  IFS=' '
  say error "$reason" "$*"
  finish
}

# ---- small tools

flush() { sync "$@" 2>/dev/null || sync; } # to disk; a sync without operands takes the whole host

if command -v base64 >/dev/null 2>&1; then BASE64=base64
elif command -v openssl >/dev/null 2>&1; then BASE64='openssl base64'
elif command -v busybox >/dev/null 2>&1; then BASE64='busybox base64'
else BASE64=
fi

put() { $BASE64 -d >"$into/$1"; } # NAME, content in base64 on standard input

put_text() { # NAME CONTENT, by cat where it fails, which says why
  printf '%s' "$2" 2>/dev/null >"$into/$1" || printf '%s' "$2" 2>/dev/null | cat >"$into/$1"
}

text() { # FILE LINE, by cat where it fails, which says why
  printf '%s\n' "$2" 2>/dev/null >"$1" || cat >"$1" <<END
$2
END
}

folder() { mkdir "$1" 2>/dev/null || [ -d "$1" ] || mkdir "$1"; } # with no parents

place() { # FROM TO: renames a directory; fails where TO is
  mv -T "$1" "$2" 2>/dev/null && return
  if [ -e "$2" ] || ! mv "$1" "$2"; then return 1; fi
  # Without -T it went into a directory that came in between.
  if [ -d "$2/${1##*/}" ]; then rm -rf "${2:?}/${1##*/}" && return 1; fi
}

boot() { read -r boot </proc/sys/kernel/random/boot_id; }

process() { # PID: sets parent, session and birth; fails where no such process lives
  stat=
  { while read -r line; do stat="$stat $line"; done <"/proc/$1/stat"; } 2>/dev/null
  # shellcheck disable=SC2086 # fields
  set -- ${stat##*) }
  [ $# -ge 20 ] || return 1
  case $1 in Z | X | x) return 1 ;; esac
  # shellcheck disable=SC2034 # for ending.sh
  parent=$2 session=$4 birth=${20}
}

# ---- the claim

mine() { # RUN: whether the host's claim is of this run
  run=$1 room=$CLAIM/run.$1 holder=
  # Made anew or removed between two looks it was complete; one that can't be read is somebody's all the same.
  until { read -r holder <"$CLAIM/run"; } 2>/dev/null || [ ! -e "$CLAIM" ]; do
    unread=$(cat "$CLAIM/run" 2>&1 && printf x) || [ ! -e "$CLAIM" ] || fail HostNotWritable "the claim on the host can't be read: $unread"
    [ "$unread" != x ] || fail HostNotWritable "the claim on the host is empty: $CLAIM/run"
  done
  [ "$holder" = "$run" ]
}

hold() { # RUN: as mine, for verbs that can't do without
  mine "$1" && return
  if [ -n "$holder" ]; then say_holder && fail HostInUse "the host is claimed by run $holder"; fi
  fail ClaimLost "the host has no claim of run $run"
}

say_holder() {
  for key in run namespace name uid; do
    value=
    read -r value <"$CLAIM/$key"
    say "holder $key $value"
  done
}

require() {
  missing=
  for tool in cat chmod chown cp date env grep ln ls mkdir mkfifo mv readlink rm sleep sync tail tr uname; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
  done
  [ -n "$BASE64" ] || missing="$missing base64"
  if [ -d "$SYSTEMD" ]; then tool=systemd-run; else tool=setsid; fi
  command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
  [ -r /proc/self/stat ] || missing="$missing /proc"
  [ -z "$missing" ] || fail HostUnsuitable "not found on the host:$missing"
}

fill() { # RUN NAMESPACE NAME UID BEGUN
  { [ -d "$VOLATILE" ] && [ -d "$STATE" ]; } || mkdir -p "$VOLATILE" "$STATE" || return 1
  : >"$intent" || return 1
  sweep && mkdir "$new" "$new/run.$1" &&
    text "$new/run" "$1" && text "$new/namespace" "$2" && text "$new/name" "$3" && text "$new/uid" "$4" || return 1
  into=$new/run.$1/cleanup
  if [ "$5" = yes ]; then
    # What no process of ours began: of the first process of the host, at a time when that was not there.
    begun=$new/run.$1/bootstrap
    if ! mkdir "$begun" || ! text "$begun/started" "1 - $(date +%s)"; then return 1; fi
    flush "$begun/started" "$begun"
  fi
  set -- "$new" "$new"/*
  if command -v upload >/dev/null 2>&1; then
    if ! mkdir "$into" || ! upload; then return 1; fi
    set -- "$@" "$into" "$into"/*
  fi
  flush "$@"
}

sweep() { # what a power cut left of claims that were being made or removed. (Of this boot somebody may put it in place.)
  for left in "$STATE"/gone.* "$STATE"/new.*; do
    case $left in "$STATE/new.$boot".* | "$STATE/gone.$boot".*) ;; *) [ ! -e "$left" ] || rm -rf "$left" ;; esac
  done
}

do_claim() { # RUN NAMESPACE NAME UID BEGUN ABANDONED ORPHAN: whether something ran already, and whose claim it takes the place of
  require
  boot
  if ! mine "$1" && [ -n "$6" ]; then abandon "$6"; fi
  if ! mine "$1" && [ -n "$7" ]; then withdraw "$7"; fi
  if ! mine "$1" && [ -z "$holder" ]; then
    new=$STATE/new.$boot.$nonce intent=$VOLATILE/$1.claim.$nonce
    words=$(fill "$@" 2>&1) || { rm -rf "$new" "$intent"; fail HostNotWritable "$words"; }
    # A disk may take its time, and whoever waited for it have given the host to another.
    [ -e "$intent" ] || { rm -rf "$new"; fail ClaimLost "run $1 was given up before it had the host"; }
    words=$(place "$new" "$CLAIM" 2>&1) || { rm -rf "$new"; [ -e "$CLAIM" ] || fail HostNotWritable "$words"; }
    rm -f "$intent"
    flush "$STATE"
  fi
  hold "$1"
  # A copied annotation is no right to another machine's host. (Its UID is another one after a move.)
  namespace='' name=''
  { read -r namespace <"$CLAIM/namespace" && read -r name <"$CLAIM/name"; } 2>/dev/null
  if [ "$namespace/$name" != "$2/$3" ]; then say_holder && fail HostInUse "run $1 is of another machine"; fi
  say_facts
  say_state bootstrap
}

do_inspect() { # RUN
  say_facts
  if mine "$1"; then say_state bootstrap; fi
  [ -z "$holder" ] || say_holder
}

do_state() { # RUN JOB
  hold "$1"
  say_state "$2"
}

say_facts() {
  # shellcheck disable=SC2046 # node name, release and machine have no spaces
  set -- $(uname -n -r -m)
  say "fact hostname $1"
  say "fact kernel $2"
  say "fact architecture $3"
  machine=
  { read -r machine </etc/machine-id; } 2>/dev/null
  say "fact machineID $machine"
  for file in /etc/os-release /usr/lib/os-release; do
    [ ! -r "$file" ] || break
  done
  # os-release(5): assignments of a shell, quoted where it needs to be.
  while read -r line || [ -n "$line" ]; do
    case $line in ID=* | PRETTY_NAME=* | VERSION=* | VERSION_CODENAME=* | VERSION_ID=*)
      value=${line#*=} value=${value#[\"\']}
      say "release ${line%%=*} ${value%[\"\']}" ;;
    esac
  done 2>/dev/null <"$file"
  say "fact libc $(getconf GNU_LIBC_VERSION 2>/dev/null)"
  say "fact cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c '^processor' /proc/cpuinfo)"
  while read -r key value _; do
    [ "$key" = MemTotal: ] || continue
    say "fact memory $((value * 1024))"
    break
  done </proc/meminfo
}

# ---- jobs as seen from outside

load() { # JOB: sets pid, start and began; pid 0: not started
  pid=0 start=0 began=0 step='- -'
  { read -r pid start began <"$room/$1/started"; read -r step <"$room/$1/current"; } 2>/dev/null
}

alive() { # JOB: whether its runner lives
  load "$1"
  [ -p "$VOLATILE/$run.$1.$pid/alive" ] && process "$pid" && [ "$birth" = "$start" ]
}

say_state() { # JOB
  load "$1"
  if say_result "$1"; then return; fi
  if alive "$1"; then
    say "state Running $began $step"
    age
  elif [ "$pid" = 0 ]; then
    say 'state Claimed'
  elif ! say_result "$1"; then # it may have ended between the two looks
    say "state Vanished $began $step"
    boot
    begun_in=$boot
    { read -r begun_in <"$room/$1/boot"; } 2>/dev/null
    [ "$begun_in" = "$boot" ] || say rebooted
    say_tail "$1"
  fi
}

age() { # of the process, by the host's uptime: its clock may be wrong, and be set right meanwhile
  read -r up _ </proc/uptime
  ticks=$(getconf CLK_TCK 2>/dev/null) || ticks=100
  say "age $((${up%%.*} - start / ticks))"
}

say_result() { # JOB. The one in memory is for a disk that was full.
  { read -r result <"$room/$1/result" || read -r result <"$VOLATILE/$run.$1.$pid/result"; } 2>/dev/null || return
  boot
  case $result in
    *" $boot") say "state Rebooting $began" && return ;;
  esac
  say "state Finished $began $result"
  say_tail "$1"
}

say_tail() { # JOB
  [ ! -e "$room/$1/output" ] || [ "$verb" = follow ] || say "tail $(tail -c 12288 "$room/$1/output" | $BASE64 | tr -d '\n')"
}

leash() { # PIDS: ends them and this shell when the client goes away (its side of standard input closes), and ends by its last word
  (read -r _ <&3 || { kill "$@" $$; exit 1; }) >/dev/null 2>&1 &
  leash=$!
}

do_follow() { # RUN JOB FIRST-BYTE: exit code 0 where the client said that it has seen the end, and what it needs no more is gone
  hold "$1"
  say_state "$2"
  output=$room/$2/output
  if ! alive "$2"; then
    say stream still
    [ ! -e "$output" ] || tail -c "+$3" "$output"
    exit 1
  fi
  # Opened so that it neither waits for a writer nor misses that there is none.
  fifo=$VOLATILE/$run.$2.$pid/alive
  exec 8<>"$fifo"
  exec 7<"$fifo"
  exec 8>&-
  say stream live
  # Where it has no inotify (overlay file systems, BusyBox), tail looks once a second if it can't be told to look sooner.
  sooner='-s 0.1'
  # shellcheck disable=SC2086
  tail $sooner -c 0 /dev/null 2>/dev/null || sooner=
  # shellcheck disable=SC2086
  tail $sooner -c "+$3" -f "$output" 3<&- 7<&- &
  tail=$!
  cat <&7 >/dev/null 2>&1 3<&- &
  life=$!
  leash "$tail" "$life"
  wait "$life"
  # A tail that polls needs a second for the last lines; one who vanished has said no end that could be seen.
  (sleep 2; kill "$leash") >/dev/null 2>&1 3<&- 7<&- &
  late=$!
  wait "$leash"
  seen=$?
  kill "$tail" "$late"
  [ "$seen" = 0 ] || exit 1
  if [ "$2" = bootstrap ]; then do_tidy "$1"; fi
  exit 0
}

# ---- starting a job detached, once

publish() { # JOB: uploads its data unless it is there. Data of another boot may be torn: it has another name.
  [ ! -d "$data" ] || return 0
  into=$data.$nonce
  # A cleanup that brings no steps takes those of the claim.
  if { mkdir "$room/$1" "$into" 2>/dev/null || [ -d "$into" ] || { folder "$room/$1" && mkdir "$into"; }; } && upload &&
    { [ -e "$into/steps" ] || cp "$room"/cleanup/* "$into"; }; then
    place "$into" "$data" || { rm -rf "$into" && [ -d "$data" ]; }
  else
    rm -rf "$into"
    return 1
  fi
}

launch() { # JOB: returns once it has been started; fails with words in answer
  boot
  data=$room/$1/data.$boot
  words=$(publish "$1" 2>&1) || {
    hold "$run"
    [ ! -e "$room/$1/started" ] || return 0 # by another, whose job took away what it no longer needs
    fail HostNotWritable "$words"
  }
  hello=$VOLATILE/$run.$1.hello.$nonce
  words=$({ [ -d "$VOLATILE" ] || mkdir -p "$VOLATILE"; } 2>&1 && mkfifo "$hello" 2>&1) || fail HostNotWritable "$words"
  exec 5<>"$hello"
  # Looked at after the FIFO is there: either the job (or a release) finds the FIFO, or it was earlier and is seen here.
  mine "$run" || fail ClaimLost "the claim of run $run was removed"
  if [ ! -e "$room/$1/started" ]; then
    words=$(detach "$1" 2>&1) || fail HostUnsuitable "$words"
    leash
    read -r answer <&5
    kill "$leash"
    case $answer in
      started) ;;
      released) fail ClaimLost "the claim of run $run was removed" ;;
      *) fail HostNotWritable "$answer" ;;
    esac
  fi
  rm -f "$hello"
  exec 5>&-
}

detach() { # JOB
  if [ ! -d "$SYSTEMD" ]; then
    env -i "PATH=$PATH" "$MARK=/$run/$1/" setsid /bin/sh "$data/program" run "$run" "$1" </dev/null >/dev/null 2>&1 3<&- 5>&- &
    return 0
  fi
  # shellcheck disable=SC2046 # words
  set -- "$1" $(systemd-run --version)
  unit=$UNIT-$run.$1.service version=${3%%[!0-9]*} job=$1
  set -- --no-block --quiet "--unit=$unit" -p KillMode=process -p TasksMax=infinity
  if [ "$version" -ge 240 ]; then set -- "$@" -p Type=exec; fi
  if [ "$version" -ge 236 ]; then set -- "$@" --collect; else systemctl reset-failed "$unit" >/dev/null 2>&1 || :; fi
  # A command killed for want of memory is a failed command, not the end of the unit.
  if [ "$version" -ge 243 ]; then set -- "$@" -p OOMPolicy=continue; fi
  words=$(systemd-run "$@" /bin/sh "$data/program" run "$run" "$job" 2>&1 3<&- 5>&-) && return
  case $words in *already*) ;; *) printf '%s\n' "$words" && return 1 ;; esac # queued by a call whose answer was lost
}

do_run() { # RUN: starts it unless it was, and follows it
  hold "$1"
  [ -e "$room/bootstrap/started" ] || launch bootstrap
  read -r pid _ <"$room/bootstrap/started"
  [ "$pid" != 0 ] || fail ClaimLost "run $run is being cleaned up"
  do_follow "$1" bootstrap 1
}
