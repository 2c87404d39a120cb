import { LOOK_BY_PROC } from './guardian-proc.ts';
import { LOOK_BY_PS } from './guardian-ps.ts';

/**
 * The guardian as a POSIX shell script.
 *
 * `$1` is the owner, `$2` and `$3` are the polite and the forced grace in milliseconds. `$4` is the
 * owner's eleven digits in the tags of its processes, or absent.
 *
 * It reads the host's pipe: `+ PGID START [TAG]` registers a group, `- PGID` forgets it, `cleanup KEY
 * MS COMMAND` is to be run in the end, unless `cleaned KEY` comes before, `spare ID NUMBER` leaves a
 * record alone that cookies and tags name, `disarm` ends the guardian. The end of the pipe means that the host is gone, for whatever reason. Then
 * everything the host left is ended, politely first. Until then the script forks nothing, so
 * waiting costs nothing.
 *
 * At a process limit nothing can be forked. So the proven groups are signalled by builtins before
 * anything is searched. A search takes one grep, and builtins search where grep cannot be started.
 * `command eval` keeps dash and busybox alive where a fork fails; without it the script would end.
 *
 * `kill -SIGNAL -PGID` is the spelling that every shell takes (dash refuses `--`, mksh `-s`). zsh,
 * which can be macOS's `sh` (sh(1)), does not accept a function called `end`.
 */
export const GUARDIAN_SCRIPT: string = `
trap '' HUP INT QUIT TERM
owner=$1 polite_ms=$2 forced_ms=$3 tag=$4
nl='
'
cleanups= cleanup_ms=0 spared= spared_numbers=' '
proofs= own_group=$$ never=" 1 $$ " base= since= paused_ms=0
mark="AGENT_SUPERVISOR_COOKIE=([A-Za-z0-9_.-]+/)*$owner[.][A-Za-z0-9_-]+(/[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+)*"

# When a fork fails, bash and mksh sleep for 15 and 31 seconds and then end the script; zsh ends it at
# once. So these never fork. Their read can parse cookies, which dash's cannot.
forkless=\${BASH_VERSION-}\${KSH_VERSION-}\${ZSH_VERSION-}

if [ -r /proc/self/stat ]; then
${LOOK_BY_PROC}
else
${LOOK_BY_PS}
fi

# Sets now, in milliseconds. Own pauses count until whole seconds show more: no grace is cut short.
tell_time_by_seconds() {
  now=$paused_ms
  if [ -n "$forkless" ]; then seconds=\${SECONDS-}; else command eval 'seconds=$(date +%s)' 2>/dev/null; fi
  [ -n "$seconds" ] || return 0
  by_date=$(((seconds - \${base:=$seconds} - 1) * 1000))
  [ "$by_date" -le "$now" ] || now=$by_date
}

# Sleeps for $1 milliseconds, which are $2 seconds. mksh cannot without a fork, and goes on at once.
pause() {
  paused_ms=$((paused_ms + $1))
  if [ -z "$forkless" ]; then
    command eval 'sleep "$2" || sleep 1'
  elif [ -n "\${BASH_VERSION-}" ]; then
    # A pipe that this shell holds itself: it has one line at first, and never another one.
    [ -n "\${waits-}" ] || { waits=yes && command eval 'command exec 3<<<x 4<>/proc/self/fd/3'; }
    read -r -t "$2" line <&4
  elif [ -n "\${ZSH_VERSION-}" ]; then
    zmodload zsh/zselect && zselect -t $(($1 / 10))
  fi 2>/dev/null
}

# A polite signal goes to each process once, a forced one each time. SIGCONT lets a stopped one handle
# it.
signal() {
  case "$1$signalled" in TERM*" $2 "*) return ;; esac
  signalled="$signalled $2 "
  kill "-$1" "$2" 2>/dev/null
  [ "$1" = KILL ] || kill -CONT "$2" 2>/dev/null
}

# Once in a round: later the id may belong to others.
signal_groups() {
  [ -n "$due" ] || return 0
  due=
  for group in $ours; do signal "$1" "-$group"; done
}

# Sets ours, the groups with a proven process; one such process is enough for each.
prove_groups() {
  ours=
  for proof in $proofs; do
    group=\${proof#*:} group=\${group%%:*}
    case "$ours$never" in *" $group "*) continue ;; esac
    stat_of "\${proof%%:*}" && [ "$pgid:$start" = "\${proof#*:}" ] || continue
    ours="$ours $group "
  done
}

# Adds a member of our groups to the proofs: a group whose leader has died is still ours. Where the
# group was signalled before the search, only processes older than that were in it when it was proven.
learn() {
  case "$ours" in *" $pgid "*) ;; *) return 1 ;; esac
  case "$proofs " in *" $1:$pgid:$start "*) return 0 ;; esac
  [ -z "$since" ] || [ "$start" -lt "$since" ] || return 0
  proofs="$proofs $1:$pgid:$start"
}

# Signals a process outside our groups that cookie or tag have proven.
found() {
  others="$others $2 "
  signal "$1" "$2"
}

# Signals the processes that are left, and searches for more.
round() {
  others= due=yes complete=
  tell_time
  prove_groups
  [ -z "$since" ] || signal_groups "$1"
  look "$1"
  signal_groups "$1"
  [ -z "$complete" ] || looked=yes
}

# Repeats until two complete searches in a row find nothing; false if the time is up before.
finish() {
  empty=0 signalled= looked=
  tell_time
  until=$((now + $2))
  while :; do
    round "$1"
    if [ -n "$ours$others" ]; then empty=0; elif [ -n "$complete" ]; then empty=$((empty + 1)); fi
    [ "$empty" -ge 2 ] && return 0
    tell_time
    [ "$now" -ge "$until" ] && return 1
    # Longer before the last search: a process in execve shows no cookie.
    if [ "$empty" -eq 1 ]; then pause 100 0.1; else pause 20 0.02; fi
  done
}

# Runs the cleanups that are left, all at once; after the longest of their times they are ended.
clean_up() {
  left=
  for key in $cleanups; do
    eval "cleanup=\\\${cleanup_$key-}"
    [ -n "$cleanup" ] || continue
    command eval '(
      trap - HUP INT QUIT TERM
      unset LC_ALL
      eval "$cleanup"
    ) </dev/null >/dev/null 2>&1 3<&- 4<&- 5<&- &' 2>/dev/null && left="$left $!"
  done
  tell_time
  until=$((now + cleanup_ms))
  while [ -n "$left" ]; do
    running=$left left=
    for pid in $running; do ! stat_of "$pid" || left="$left $pid"; done
    [ -n "$left" ] || return 0
    tell_time
    [ "$now" -lt "$until" ] || break
    command eval 'sleep 0.1 || sleep 1' 2>/dev/null
  done
  for pid in $left; do kill -KILL "-$pid" || kill -KILL "$pid"; done 2>/dev/null
}

echo "ready $$"
while read -r change pgid start rest; do
  case $change in
    +)
      # Where the host cannot tell the start time (macOS), the guardian looks it up itself.
      [ -n "$start" ] || stat_of "$pgid" || continue
      proofs="$proofs $pgid:$pgid:$start"
      ;;
    -)
      rest=
      for proof in $proofs; do
        [ "\${proof%%:*}" = "$pgid" ] || rest="$rest $proof"
      done
      proofs=$rest
      ;;
    cleanup)
      case $pgid:$start in *[!0-9:]* | :* | *:) continue ;; esac
      eval "cleanup_$pgid=\\$rest"
      cleanups="$cleanups $pgid"
      [ "$start" -le "$cleanup_ms" ] || cleanup_ms=$start
      ;;
    spare)
      case $pgid:$start in *[!A-Za-z0-9_:-]* | :* | *:) continue ;; esac
      spared="$spared\${spared:+|}$pgid" spared_numbers="$spared_numbers$start "
      ;;
    cleaned) case $pgid in *[!0-9]* | '') ;; *) unset "cleanup_$pgid" ;; esac ;;
    disarm) exit 0 ;;
  esac
done

# Whatever ends the script, such as a failed fork, the rest is ended without another fork.
trap 'forkless=yes; finish KILL "$forced_ms"; clean_up' EXIT
# A process started just before is not tagged yet: a second search follows some milliseconds later.
[ "$forced_ms" -ge 40 ] || forced_ms=40
spare_ancestors
finish TERM "$polite_ms" || finish KILL "$forced_ms" ||
  # The reason for a failed search usually passes: dead processes count until they are reaped.
  [ -n "$looked" ] || finish KILL 5000
trap - EXIT
clean_up
`;
