#!/bin/sh
# A stranger that writes down each signal it gets, into the file SOAK_TRAP.
for signal in TERM HUP INT QUIT USR1 CONT; do
  trap "echo $signal >>\"\$SOAK_TRAP\"" "$signal"
done
sleep "$SOAK_LIFE_S" &
while kill -0 "$!" 2>/dev/null; do wait "$!"; done
