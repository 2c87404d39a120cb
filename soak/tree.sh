#!/bin/sh
# An agent that misbehaves, or a stranger that looks like one: a leader, a child, an orphan, and one
# that left the session and ignores SIGTERM. All of it ends by itself after SOAK_LIFE_S seconds.
ROLE=child sleep "$SOAK_LIFE_S" &
(ROLE=orphan sleep "$SOAK_LIFE_S" &)
ROLE=stubborn setsid sh -c 'trap "" TERM HUP INT; exec sleep "$SOAK_LIFE_S"' &
echo ready
ROLE=leader exec sleep "$SOAK_LIFE_S"
