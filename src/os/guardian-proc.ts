/**
 * The script's functions that read `/proc` (Linux): `stat_of`, `look`, `tell_time`,
 * `spare_ancestors`.
 */
export const LOOK_BY_PROC: string = `
  # Sets ppid, pgid, flags and start of a process; false if it is gone or a zombie.
  stat_of() {
    fields=
    # A name may hold line breaks and parentheses: the fields follow the last one.
    { while read -r line; do fields="$fields $line"; done < "/proc/$1/stat"; } 2>/dev/null
    [ -n "$fields" ] || return 1
    set -- \${fields##*) }
    ppid=$2 pgid=$3 flags=$7 start=\${20}
    # A zombie with more than one thread runs on without its first one.
    case $1:\${18} in Z:[01] | X* | x*) return 1 ;; esac
  }

  # True if a limit holds a tag of our owner, and none holds one that means kept.
  tagged() {
    [ -n "$tag" ] || return 1
    is_ours=1
    { while read -r name1 name2 name3 soft hard unit; do
        case "$name1 $name2 $name3:$hard" in
          'Max resident set:'[1-9][02468]????????????????? | \\
          'Max file locks:'[1-9][02468]????????????????? | \\
          'Max realtime timeout:'[1-9][02468]?????????????????) is_ours=1 && break ;;
          'Max resident set:'[1-9][13579]"$tag"?????? | \\
          'Max file locks:'[1-9][13579]"$tag"?????? | \\
          'Max realtime timeout:'[1-9][13579]"$tag"??????)
            case "$spared_numbers" in *" \${hard#??"$tag"} "*) is_ours=1 && break ;; esac
            is_ours=0
            ;;
        esac
      done < "/proc/$1/limits"; } 2>/dev/null
    return $is_ours
  }

  if { read -r -d '' variable < /proc/self/environ; } 2>/dev/null; then
    reads_environ=yes
    cookie_of() {
      cookie=
      { while IFS= read -r -d '' variable; do
          case $variable in AGENT_SUPERVISOR_COOKIE=*) cookie=\${variable#*=} && break ;; esac
        done < "/proc/$1/environ"; } 2>/dev/null
    }
  else
    reads_environ=
    # dash drops the separators between variables: enough to spare a process, but no proof.
    cookie_of() {
      cookie=
      { while read -r line || [ -n "$line" ]; do cookie="$cookie$line"; done < "/proc/$1/environ"; } 2>/dev/null
      case $cookie in
        *AGENT_SUPERVISOR_COOKIE=*) cookie=\${cookie##*AGENT_SUPERVISOR_COOKIE=} ;;
        *) cookie= ;;
      esac
    }
  fi

  # True if the cookie proves that a process is ours: the pattern in $mark, in builtins.
  carries() {
    [ -n "$reads_environ" ] || return 1
    case /$cookie in
      *//* | */ | *[!A-Za-z0-9_./-]*) return 1 ;;
      */"$owner".*) segments=/$cookie segments=x.\${segments##*/"$owner".} ;;
      *) return 1 ;;
    esac
    id=\${segments#x.}
    case "|$spared|" in *"|\${id%%/*}|"*) return 1 ;; esac
    # From our own segment on, each has one dot; a kept one has two.
    while :; do
      case \${segments%%/*} in *.*.* | .* | *.) return 1 ;; *.*) ;; *) return 1 ;; esac
      case $segments in */*) segments=\${segments#*/} ;; *) return 0 ;; esac
    done
  }

  # True if the cookie says that a process is to live on; that overrides an inherited tag.
  kept() {
    case \${cookie##*"$owner".} in *.kept*) return 0 ;; esac
    return 1
  }

  # Sets spared_files, where the shell cannot read which record a cookie names; false if it could not.
  look_for_spared() {
    spared_files=' '
    [ -n "$spared" ] && [ -z "$reads_environ" ] || return 0
    pattern="AGENT_SUPERVISOR_COOKIE=([A-Za-z0-9_.-]+/)*$owner[.]($spared)(/.*)?\\$"
    found_files=
    # Our own group is looked for, too: a grep that finds nobody is told from one that did not run.
    command eval "found_files=\\$(exec grep -lzE '^([0-9]+ [(].*[)] [A-Za-z] [0-9]+ $own_group |$pattern)' /proc/$$/stat /proc/[0-9]*/environ)" 2>/dev/null
    case $found_files in *"/proc/$$/stat"*) ;; *) return 1 ;; esac
    for file in $found_files; do spared_files="$spared_files$file "; done
  }

  # Searches all stats, environments and limits with one grep; false if that could not run.
  look_by_grep() {
    [ -z "$forkless" ] || return 1
    # Our own group is in the pattern: a grep that does not find this script has not worked.
    groups=$own_group files= where='/proc/[0-9]*/stat /proc/[0-9]*/environ'
    for group in $ours; do groups="$groups|$group"; done
    pattern="[0-9]+ [(].*[)] [A-Za-z] [0-9]+ ($groups) |$mark\\$"
    if [ -n "$tag" ]; then
      where="$where /proc/[0-9]*/limits"
      pattern="$pattern|Limit .*Max (resident set|file locks|realtime timeout) +[^ ]+ +[1-9][13579]$tag[0-9]{6} "
    fi
    command eval "files=\\$(exec grep -lzE '^($pattern)' $where)" 2>/dev/null
    case $files in *"/proc/$$/stat"*) ;; *) return 1 ;; esac
    complete=yes
    look_for_spared || return 1
    for file in $files; do
      pid=\${file#/proc/} pid=\${pid%%/*}
      case "$never$others" in *" $pid "*) continue ;; esac
      # The pid may belong to another process by now, and a name may look like these fields.
      stat_of "$pid" || continue
      learn "$pid" && continue
      case $file in
        */stat) continue ;;
        # busybox's grep takes each line of a variable for one: read the cookie again where possible.
        */environ)
          case "$spared_files" in *" $file "*) continue ;; esac
          [ -z "$reads_environ" ] || { cookie_of "$pid"; carries; } || continue
          ;;
        */limits) cookie_of "$pid"; { ! kept && tagged "$pid"; } || continue ;;
      esac
      found "$1" "$pid"
    done
  }

  # Searches without a fork: ten times slower, and in dash without cookies.
  look_by_builtins() {
    complete=$reads_environ
    for file in /proc/[0-9]*; do
      pid=\${file#/proc/}
      case "$never" in *" $pid "*) continue ;; esac
      # The kernel's own threads belong to nobody (PF_KTHREAD).
      stat_of "$pid" && [ $((flags & 2097152)) -eq 0 ] || continue
      learn "$pid" && continue
      cookie_of "$pid"
      { carries || { ! kept && tagged "$pid"; }; } && found "$1" "$pid"
    done
  }

  look() { look_by_grep "$1" || look_by_builtins "$1"; }

  # Sets now, in milliseconds, and since, the start time of a process that would start now.
  tell_time() {
    # The file is missing where /proc shows only processes (subset=pid).
    if { read -r uptime idle < /proc/uptime; } 2>/dev/null; then
      seconds=\${uptime%.*} since=\${uptime%.*}\${uptime#*.}
      now=$(((seconds - \${base:=$seconds}) * 1000 + 1\${uptime#*.}0 - 1000))
    else
      tell_time_by_seconds
    fi
  }

  # Our own group and our ancestors are never signalled, whatever marks they have.
  spare_ancestors() {
    stat_of $$ || return 0
    own_group=$pgid never="$never$pgid "
    while [ "$ppid" -gt 1 ]; do
      never="$never$ppid "
      stat_of "$ppid" || return 0
    done
  }
`;
