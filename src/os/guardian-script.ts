/**
 * The guardian as a POSIX shell script; `$1` is the owner, `$2` and `$3` the polite and the forced
 * grace in milliseconds.
 *
 * It reads the host's pipe: `+ PGID START` registers a group, `- PGID` forgets it, `disarm` ends the
 * guardian. The end of the pipe means that the host is gone, whatever the cause: then everything it
 * left is ended, politely first. It forks nothing until then, so it costs nothing while it waits.
 * `kill -SIGNAL -PGID` is the spelling that every shell takes (dash refuses `--`, mksh `-s`); a function
 * called `end` is one that zsh does not, which can be macOS's `sh` (sh(1)).
 */
export const GUARDIAN_SCRIPT = `
trap '' HUP INT QUIT TERM
owner=$1 polite_ms=$2 forced_ms=$3 proofs=
mark="AGENT_SUPERVISOR_COOKIE=([A-Za-z0-9_.-]+/)*$owner[.][A-Za-z0-9_-]+(/[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+)*"

if [ -r /proc/self/stat ]; then
  # Sets state, pgid and start of a process; false if it is gone or a zombie.
  stat_of() {
    { read -r line < "/proc/$1/stat"; } 2>/dev/null || return 1
    set -- \${line##*) }
    state=$1 pgid=$3 start=\${20}
    case $state in Z* | X* | x*) return 1 ;; esac
  }
  pids_of_paths() { while IFS=/ read -r root proc pid file; do echo "$pid"; done; }
  marked() { grep -lzE "^$mark$" /proc/[0-9]*/environ 2>/dev/null | pids_of_paths; }
  in_groups() {
    groups=
    for pgid in $ours; do groups="$groups|$pgid"; done
    # A name may look like these fields; it is the caller who proves.
    grep -lE "[)] [^ZXx] [0-9]+ (\${groups#?}) " /proc/[0-9]*/stat 2>/dev/null | pids_of_paths
  }
  now_ms() {
    read -r now rest < /proc/uptime
    now=\${now%.*}\${now#*.}0
  }
else
  stat_of() {
    set -- $(LC_ALL=C TZ=UTC ps -o stat=,pgid=,lstart= -p "$1" 2>/dev/null)
    [ $# -ge 7 ] || return 1
    state=$1 pgid=$2
    case $state in Z*) return 1 ;; esac
    # In seconds since 1970, as the host tells it.
    start=$(date -juf '%a %b %d %T %Y' "$3 $4 $5 $6 $7" +%s)
  }
  marked() {
    ps -A -E -ww -o pid=,command= 2>/dev/null | grep -E " $mark( |$)" |
      while read -r pid line; do
        # What a command line quotes proves nothing, only what -E adds to it.
        args=$(ps -ww -o command= -p "$pid" 2>/dev/null)
        added=\${line#"$args "}
        [ "$added" != "$line" ] && printf ' %s\\n' "$added" | grep -qE " $mark( |$)" && echo "$pid"
      done
  }
  in_groups() {
    ps -A -o pid=,pgid= 2>/dev/null | while read -r pid pgid; do
      case "$ours " in *" $pgid "*) echo "$pid" ;; esac
    done
  }
  now_ms() { now=$(date +%s)000; }
fi

# Adds everyone in our groups to the proofs: a group whose leader has died is still ours.
learn() {
  for pid in $(in_groups); do
    stat_of "$pid" || continue
    case "$proofs " in *" $pid:$pgid:$start "*) continue ;; esac
    case "$ours " in *" $pgid "*) proofs="$proofs $pid:$pgid:$start" ;; esac
  done
}

# A polite signal goes to each once, a forced one at every look.
signal() {
  case "$1$signalled" in TERM*" $2 "*) return ;; esac
  signalled="$signalled $2 "
  kill "-$1" "$2" 2>/dev/null
}

# Signals what is left: groups that hold a proven process, then others that carry the cookie.
look() {
  ours= others=
  for proof in $proofs; do
    stat_of "\${proof%%:*}" && [ "$pgid:$start" = "\${proof#*:}" ] || continue
    case "$ours " in *" $pgid "*) ;; *) ours="$ours $pgid" ;; esac
  done
  # Before the signal: it may take the only one whose proof we have.
  [ -z "$ours" ] || learn
  for pgid in $ours; do signal "$1" "-$pgid"; done
  for pid in $(marked); do
    [ "$pid" -gt 1 ] && [ "$pid" != $$ ] && stat_of "$pid" || continue
    case "$ours " in *" $pgid "*) continue ;; esac
    others="$others $pid"
    signal "$1" "$pid"
  done
}

# Looks until two looks in a row find nobody; false if time is up before.
finish() {
  now_ms
  until=$((now + $2)) empty=0 signalled=
  while :; do
    look "$1"
    if [ -z "$ours$others" ]; then
      empty=$((empty + 1)) pause=0.1
      [ $empty -ge 2 ] && return 0
    else
      empty=0 pause=0.02
    fi
    now_ms
    [ "$now" -ge "$until" ] && return 1
    # Longer before the last look: whoever is just becoming another program shows no cookie.
    sleep $pause 2>/dev/null || sleep 1
  done
}

echo ready
while read -r change pgid start; do
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
    disarm) exit 0 ;;
  esac
done
finish TERM "$polite_ms" || finish KILL "$forced_ms"
`;
