# shellcheck shell=sh disable=SC2154 # variables of runner.sh and job.sh
# The files that a run brings: noted on the host before it begins, written, and gone with its cleanup. Goes between ending.sh and job.sh.

remember() { # the files that the run will have brought, and where they are written first. The list of who comes first counts.
  list=$room/created.$$ lost='' between='' noted='' straight=''
  [ ! -e "$list" ] || rm -rf "$list" || return
  mkdir "$list" && steps_as remember >"$list/files" 4>"$list/beside" || return
  if [ -n "$lost" ]; then printf '%s\n' "$lost can't be noted on the host: is its disk full?" && return 1; fi
  place "$list" "$room/created" || { rm -rf "$list" && [ -d "$room/created" ]; }
}

step_remember() {
  [ "$2" = file ] || return 0
  resolve "$7"
  while :; do case $target in *//*) target=${target%%//*}/${target#*//} ;; *) break ;; esac; done
  beside=${target%/*}/.$UNIT.run.$run
  if [ "$beside" != "$noted" ]; then printf '%s%s' "${noted:+/}" "$beside" >&4 || lost=$target; fi
  noted=$beside
  if [ -e "$target" ] || [ -L "$target" ]; then return 0; fi
  printf '%s%s' "$between" "$target" || lost=$target
  between=/
}

note_beside() { # N: sets beside to what files in the folder of target are first, whole or not; its name goes on with a dot, or is a folder's
  beside=${target%/*}/.$UNIT.run.$run
  [ -n "$noted" ] || noted=/$(cat "$room/created/beside")/
  case $noted in
    *"/$beside/"*) ;;
    *) printf '%s' "$beside" >"$room/created/$1" && noted=$noted/$beside/ ;; # links have changed since the start
  esac
}

# What is done for every file starts no process where it can do without: a document may have hundreds.
resolve() { # PATH: sets target to the file that it names, through symbolic links
  case $1/ in
    [!/]* | *//* | */./* | */../*) ;;
    *) if direct "$1"; then target=$1 && return; fi ;;
  esac
  target=$(readlink -f "$1" 2>/dev/null && printf x) || { target=$1 && return; }
  target=${target%?x}
}

direct() { # PATH: whether no link leads there
  [ ! -L "$1" ] || return 1
  above=${1%/*}
  [ "$above" != "$straight" ] || return 0
  while [ -n "$above" ]; do
    [ ! -L "$above" ] || return 1
    above=${above%/*}
  done
  straight=${1%/*}
}

# As cloud-init's write_files: through symbolic links, and mode and owner also when it appends. Of the owner what is not said stays;
# a mode or an owner after a minus is for a new file. TOGETHER: others beside it go to the same folder with the same of both.
write() { # MODE OWNER APPEND PATH [TOGETHER]
  resolve "$4"
  parent=${target%/*}/ whole=./${target##*/}
  if [ "$gathered" = "$1 $2 $parent" ] && [ $# = 5 ] && [ ! -e "$whole" ] && [ ! -e "$target" ]; then
    gather
    return
  fi
  bring || return
  [ -d "$parent" ] || (umask 022 && mkdir -p "$parent") || return
  if [ -d "$target" ]; then printf '%s is a directory\n' "$target" && return 1; fi
  if [ -e "$target" ] && [ ! -f "$target" ]; then content >"$target" && return; fi
  note_beside "$number" || return
  if [ $# = 5 ] && [ ! -e "$target" ] && meet "$@"; then
    gather
    return
  fi
  old=/dev/null owner=0:0 mode=${1#-} owned=${2#-} whole=$beside.$number
  if [ -e "$target" ]; then
    if [ "$3" = yes ]; then old=$target; fi
    case $1 in -*) mode=$(stat -c %a "$target") || return ;; esac
    case $2 in -*) owned='' ;; esac
    # shellcheck disable=SC2046 # fields, of which the third and fourth are owner and group
    set -- $(set -f && ls -ldn "$target")
    owner=$3:$4
    if mounted; then whole=$target; fi
  fi
  if fill_whole && own "$whole" && { [ "$whole" = "$target" ] || mv -f "$whole" "$target"; }; then
    label "$target"
  else
    rm -f "$beside.$number"
    return 1
  fi
}

own() { # FILES: gives them the owner and the mode that are said
  case $owned in 0:0 | root:root) owner=0:0 owned='' ;; esac
  { [ "$owner" = 0:0 ] && of_root "$1" || chown "$owner" "$@"; } && { [ -z "$owned" ] || chown "$owned" "$@"; } && chmod "$mode" "$@"
}

label() { # FILES
  [ ! -e /sys/fs/selinux/enforce ] || restorecon "$@" || :
}

# Hundreds of files would take two processes each for mode and name. What goes together is written in a folder beside its places that is
# nobody else's, and goes from there all at once.
meet() { # as write; fails where the file has to go alone
  { mkdir -m 0700 "$beside" && cd "$beside" && [ -O . ]; } 2>/dev/null || { cd / && return 1; }
  old=/dev/null owner=0:0 mode=${1#-} owned=${2#-} folder=$parent stage=$beside numbers='' words='' count=0
  gathered="$1 $2 $parent"
}

gather() {
  if fill_whole; then
    eval "file_$number=\$whole name_$number=\$name"
    numbers="$numbers $number" words="$words \"\$file_$number\"" count=$((count + 1))
    # A call takes only so many words.
    [ "$count" -lt 200 ] || bring
  else
    rm -f "$whole"
    return 1
  fi
}

bring() { # what was gathered to its place; of what can't get there the first is named
  put_marks
  [ -n "$gathered" ] || return 0
  gathered=
  eval "bring_all $words"
  brought=$?
  cd / && rm -rf "$stage" && return "$brought"
}

bring_all() { # FILES
  [ $# -gt 0 ] || return 0
  { own "$@" && mv -f "$@" "$folder"; } 2>/dev/null || bring_each || return
  cd "$folder" && label "$@"
}

bring_each() {
  for each in $numbers; do
    eval "file=\$file_$each"
    if [ ! -e "$file" ] || { own "$file" && mv -f "$file" "$folder"; }; then continue; fi
    eval "name=\$name_$each"
    enter
    return 1
  done
}

content() { # a text without a process, unless it fails, which cat says why
  if [ -e "$DATA/$number" ]; then
    put_marks
    cat "$DATA/$number"
    return
  fi
  # Those of all the files that follow each other are in one file.
  if [ "$texts" != "$wanted" ]; then
    # shellcheck disable=SC1090
    . "$DATA/$wanted.texts"
    texts=$wanted
  fi
  print_text || { put_marks; print_text | cat; return 1; }
}

print_text() { eval "printf '%s' \"\$text_$number\"" 2>/dev/null; }

mounted() { # whether target is a mount of its own, as /etc/hosts in a container: nothing can be renamed over it
  while read -r _ point _; do
    [ "$point" != "$target" ] || return 0
  done </proc/self/mounts
  return 1
}

fill_whole() {
  if [ "$whole" = "$target" ]; then
    if [ "$old" = "$target" ]; then content >>"$target"; else content >"$target"; fi
    return
  fi
  # -C: never through something that waits under this name
  set -C
  { { [ "$old" = /dev/null ] || cat "$old"; } && content; } >"$whole"
  code=$?
  set +C
  return "$code"
}

of_root() { # FILE that this process has made, and what it made beside it; a folder may have a group that goes to what is made in it
  if [ -z "$ids" ]; then
    while read -r key _ id _; do
      case $key in Uid:) ids=$id. ;; Gid:) ids=$ids$id && break ;; esac
    done <"/proc/$$/status"
  fi
  [ "$ids" = 0.0 ] && [ -O "$1" ] && [ -G "$1" ]
}

forget() { # what the run brought, the newest first, and its sentinel; units stop before their files go
  reload=no
  each_noted forget_one || return
  [ "$reload" = no ] || systemctl daemon-reload
  rm -f "$SENTINEL"
}

forget_one() {
  if service; then
    reload=yes
    systemctl stop "$service" || :
    systemctl disable "${target##*/}" 2>/dev/null || :
  fi
  case $target in
    */".$UNIT.run.$run") rm -rf "$target" "$target".* ;;
    *) if [ -f "$target" ] || [ -L "$target" ]; then rm -f "$target"; fi ;;
  esac
}
