#!/bin/sh
# The first process of a PID namespace with few numbers: a host beside a program that makes daemons,
# each in the group and session of a dead leader. It outlives the host by what a guardian may take.
#   recycling.sh <pid_max> <tag of the host> <log> <program> <host's command ...>
echo "$1" >/proc/sys/kernel/pid_max || exit 1
tag=$2 log=$3 program=$4
shift 4
"$program" "$log" "$SOAK_LIFE_S" 16 >/dev/null 2>&1 </dev/null &
maker=$!
# What runs in the background would read nothing.
exec 3<&0
SOAK_TAG=$tag "$@" <&3 3<&- &
host=$!
# The end of its output is the end of the host.
exec </dev/null >/dev/null 2>&1 3<&-
wait "$host"
sleep 8
# First, so that it takes nobody for killed who ends with the namespace.
kill -KILL "$maker"
