/**
 * The script's functions where there is only `ps` (macOS): `stat_of`, `look`, `tell_time`,
 * `spare_ancestors`.
 */
export const LOOK_BY_PS: string = `
  # ps and date need forks.
  forkless=
  stat_of() {
    set -- $(LC_ALL=C TZ=UTC ps -o stat=,pgid=,lstart= -p "$1" 2>/dev/null)
    [ $# -ge 7 ] || return 1
    pgid=$2
    case $1 in Z*) return 1 ;; esac
    # In seconds since 1970, as the host writes it.
    start=$(date -juf '%a %b %d %T %Y' "$3 $4 $5 $6 $7" +%s)
  }
  marked() {
    spared_mark=" AGENT_SUPERVISOR_COOKIE=([A-Za-z0-9_.-]+/)*$owner[.]($spared)(/| |$)"
    ps -A -E -ww -o pid=,command= 2>/dev/null | grep -E " $mark( |$)" |
      while read -r pid line; do
        # A cookie quoted in a command line proves nothing; one in the environment that -E adds does.
        args=$(ps -ww -o command= -p "$pid" 2>/dev/null)
        added=\${line#"$args "}
        [ "$added" != "$line" ] && printf ' %s\\n' "$added" | grep -qE " $mark( |$)" || continue
        [ -n "$spared" ] && printf ' %s\\n' "$added" | grep -qE "$spared_mark" || echo "$pid"
      done
  }
  in_groups() {
    ps -A -o pid=,pgid= 2>/dev/null | while read -r pid pgid; do
      case "$ours" in *" $pgid "*) echo "$pid" ;; esac
    done
  }
  look() {
    complete=yes
    # Before the signal, which may kill the only process that proves the group.
    [ -z "$ours" ] || for pid in $(in_groups); do stat_of "$pid" && learn "$pid"; done
    signal_groups "$1"
    for pid in $(marked); do
      case "$never" in *" $pid "*) continue ;; esac
      stat_of "$pid" || continue
      learn "$pid" || found "$1" "$pid"
    done
  }
  tell_time() { tell_time_by_seconds; }
  spare_ancestors() { own_group=$$; }
`;
