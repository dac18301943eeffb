# shellcheck shell=sh disable=SC2034,SC2154 # variables of runner.sh and files.sh
# The job itself: runner.sh and this after it are the program that goes on detached, as `program run RUN JOB`. Steps that
# need the runner are processes of their own, `program step RUN JOB N CLOCK`, so that nothing of the fragments reaches them.
SENTINEL=/run/cluster-api/bootstrap-success.complete

job_run() { # RUN JOB
  if ! mine "$1" || ! process $$; then exit 1; fi
  job=$2 home=$room/$2 here=$VOLATILE/$1.$2.$$ clock=0
  now
  clock=$(($(date +%s) - now))
  words=$(prepare 2>&1) || { greet "$words"; exit 1; }
  exec 9<>"$here/alive"
  [ -e "$home/started" ] || steps_as look
  # Before the start: what can't be remembered could not be removed.
  [ -d "$room/created" ] || words=$(remember 2>&1) || give_way
  words=$(ln "$home/started.$$" "$home/started" 2>&1) || give_way
  exec >>"$home/output" 2>&1
  if [ "$job" = bootstrap ] && { [ -e "$SENTINEL" ] || [ -L "$SENTINEL" ]; }; then rm -f "$SENTINEL"; fi
  flush "$room"/created/* "$room/created" "$home/started" "$home" "$room"
  greet started
  # On its own line: as a condition it would go on after a failure. What was composed in part must not run.
  (set -e; steps_as compose; settle) >"$DATA/session.0"
  composed=$?
  [ "$composed" = 0 ] && (umask 022 && enter_directory && sessions) </dev/null 9>&-
  conclude $?
}

sessions() { # one shell after the other
  part=0
  while [ -e "$DATA/session.$part" ]; do
    clean_environment /bin/sh "$DATA/session.$part" || return
    part=$((part + 1))
  done
  [ -e "$DATA/steps" ] && [ -e "$DATA/session.0" ] # what is not there was not run
}

prepare() {
  [ ! -e "$here" ] || rm -rf "$here" || return
  boot
  mkdir -p "$here" && mkfifo "$here/alive" && text "$here/start" "$birth" && text "$home/boot" "$boot" &&
    now && text "$home/started.$$" "$$ $birth $now" || return
  # Not by who comes late: what is no longer needed is gone by then.
  [ -e "$home/started" ] || : >>"$home/output"
}

greet() { # tells those who wait for the start
  words=$1
  [ "$words" = started ] || words=$(printf '%s' "$1" | tr '\n' ' ')
  for hello in "$VOLATILE/$run.$job.hello."*; do
    [ ! -p "$hello" ] || printf '%s\n' "$words" 1<>"$hello"
  done
}

give_way() { # another process has started the job, or the job may not be started any more
  [ -e "$home/started" ] || greet "$words"
  # Of a job that ended meanwhile, whose output nobody needs any more, this one may have begun another.
  if [ -e "$home/result" ] && [ ! -s "$home/output" ]; then rm -f "$home/output"; fi
  rm -rf "$home/started.$$" "$here"
  exit 0
}

enter_directory() {
  { [ -d "$directory" ] || mkdir -p "$directory"; } && cd "$directory" && return
  name=d29ya2luZ0Rpcg== kind=directory # workingDir
  enter
  return 1
}

clean_environment() {
  env -i HOME=/root USER=root LOGNAME=root SHELL=/bin/sh "PATH=$PATH" LANG=C.UTF-8 "$MARK=/$run/$job/" "$@"
}

conclude() { # EXIT-CODE
  load "$job"
  now
  sentinel=unneeded
  [ "$expects" = no ] || sentinel=no
  [ ! -e "$SENTINEL" ] || sentinel=yes
  result="$1 $now $sentinel $step" power=
  case $1$sentinel in
    0yes | 0unneeded)
      : >"$home/succeeded"
      if [ -e "$DATA/power" ]; then boot && power=$(cat "$DATA/power") result="$result $boot"; fi
      ;;
  esac
  record
  [ -z "$power" ] || switch_power
}

record() { # the result, on the disk before anybody hears of it
  text "$here/result" "$result"
  text "$home/result.new" "$result" && mv -f "$home/result.new" "$home/result"
  rm -rf "$home"/data.* "$home"/started.*
  flush "$home/result" "$home"
  printf '\036%s end %s\n' "$run" "$result"
}

switch_power() { # as it was asked for: MODE, DELAY and MESSAGE, one a line
  set -f
  IFS='
'
  # shellcheck disable=SC2086
  set -- $power
  IFS=' '
  case $1 in reboot) option=-r ;; poweroff) option=-P ;; *) option=-H ;; esac
  when=now
  [ "$2" = 0 ] || when=+$2
  if command -v shutdown >/dev/null 2>&1; then
    shutdown "$option" "$when" ${3:+"$3"} && return
  else
    [ "$2" = 0 ] || sleep $(($2 * 60))
    "$1" && return
  fi
  # The host stays on: what was said to wait for that has failed.
  result="1 ${result#* }"
  result=${result% *}
  rm -f "$home/succeeded"
  record
}

# ---- steps: the file `steps` calls options once, step for every one of them, and session where another shell begins

options() { # ONE-SCRIPT EXPECTS-SENTINEL DIRECTORY
  script=$1 expects=$2 directory=$3
  if [ "$way" = compose ]; then head; fi
}

head() { [ "$script" = no ] || printf 'set -e\n'; }

session() {
  [ "$way" = compose ] || return 0
  settle
  before=
  part=$((part + 1))
  exec >"$DATA/session.$part"
  head
}

step() { "step_$way" "$@"; } # N KIND NAME ARGUMENTS

step_look() { :; } # for the options

steps_as() {
  way=$1 group='' part=0 before='' going=no
  # shellcheck disable=SC1091
  . "$DATA/steps"
}

# For what follows in the shell that the fragments share; nothing of it relies on what they may have changed. Files that follow each
# other are written by one process.
step_compose() {
  if [ "$2$before" = filefile ]; then return 0; fi
  before=$2
  case $2 in
    shell)
      # Not asked of the last one, after which nothing of the group can follow.
      if [ -n "$group" ] && stands_alone "$DATA/$group"; then settle; fi
      [ -z "$group" ] || cat "$DATA/$1" >>"$DATA/$group"
      group=${group:-$1}
      ;;
    tolerated) settle && call "$1" ':' ;;
    *) settle && call "$1" ;;
  esac
}

call() { # N [OTHERWISE]
  printf "/bin/sh '%s' step '%s' '%s' %s %s || %s\n" "$DATA/program" "$run" "$job" "$1" "$clock" "${2-exit \$?}"
}

stands_alone() { # FILE: a construct of one script may go over several commands
  /bin/sh -n "$1" 2>/dev/null || return
  # An open here-document or a backslash at the end is no error, but takes in what would be one at the beginning of a line.
  { cat "$1" && printf ';\n'; } >"$DATA/probe" || return
  ! /bin/sh -n "$DATA/probe" 2>/dev/null
}

settle() {
  if [ -n "$group" ]; then
    # shellcheck disable=SC2016 # for the session
    call "$group" && printf '. '\''%s'\''\n_status=$?\n[ "$_status" -eq 0 ] || exit "$_status"\n' "$DATA/$group" || return
  fi
  group=
}

job_step() { # RUN JOB N CLOCK
  job=$2 wanted=$3 clock=$4
  ids='' noted='' gathered='' straight='' texts='' marks='' # commands may have exported anything
  if ! mine "$1" || ! alive "$job"; then exit 143; fi # nobody would know how it ended
  steps_as perform
  bring
}

step_perform() {
  if [ "$going" = yes ] && [ "$2" != file ]; then bring; exit; fi
  [ "$going" = yes ] || [ "$1" = "$wanted" ] || return 0
  number=$1 kind=$2 name=$3
  shift 3
  [ "$going" = yes ] || current
  if [ "$going$#" = yes5 ]; then
    # Of files that go together many at a time, as far as they are written at once.
    marks="$marks $run $now $name"
    [ ${#marks} -lt 3000 ] || put_marks
  else
    mark
  fi
  case $kind in
    shell) exit 0 ;;
    file) write "$@" && going=yes && return ;;
    forget) forget ;;
    power) ask_power "$@" ;;
    *) own_process "$@" ;;
  esac
  code=$?
  bring
  [ "$going" = no ] || current
  if [ "$kind" = tolerated ] && [ "$code" != 0 ]; then printf 'exit code %s, going on\n' "$code"; fi
  exit "$code"
}

enter() { current && mark; }

current() { text "$room/$job/current.new" "$kind $name" && mv -f "$room/$job/current.new" "$room/$job/current"; }

mark() {
  now
  marks="$marks $run $now $name"
  put_marks
}

put_marks() {
  # shellcheck disable=SC2086 # words of letters and digits
  [ -z "$marks" ] || printf '\036%s command %s %s\n' $marks >>"$room/$job/output"
  marks=
}

now() { # by the clock as it was when the job began, which the uptime carries on: a run may set the clock
  read -r up _ </proc/uptime
  now=$((clock + ${up%%.*}))
}

own_process() { # INTERPRETER...
  chmod 0700 "$DATA/$number" && cd "$directory" && umask 022 && clean_environment "$@" "$DATA/$number"
}

ask_power() { # MODE DELAY MESSAGE, where the condition holds; done after the result is on the disk
  if [ -e "$DATA/$number" ]; then
    (own_process /bin/sh)
    code=$?
    [ "$code" != 1 ] || return 0
    [ "$code" = 0 ] || return "$code"
  fi
  [ -e "$DATA/power" ] || printf '%s\n' "$@" >"$DATA/power"
}

case ${1-} in
  run | step)
    DATA=${0%/*} verb=$1
    shift
    "job_$verb" "$@"
    ;;
esac
