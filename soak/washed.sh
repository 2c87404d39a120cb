#!/bin/sh
# An agent whose child gives up environment, session and parent: only what the kernel hands down leads
# to it. To the soak its arguments tell what it is. All of it ends by itself after SOAK_LIFE_S seconds.
(env -i setsid sh -c 'left=$0; while [ "$left" -gt 0 ]; do sleep 1; left=$((left - 1)); done' \
  "$SOAK_LIFE_S" "SOAK=$SOAK" "SOAK_TAG=$SOAK_TAG" ROLE=washed >/dev/null 2>&1 </dev/null &)
echo ready
ROLE=leader exec sleep "$SOAK_LIFE_S"
