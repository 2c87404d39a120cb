#!/bin/sh
# What a run starts: it leaves a child behind and crashes; it ends by itself in any case.
ROLE=child sleep "$SOAK_LIFE_S" &
ROLE=leader sleep 1
exit 3
