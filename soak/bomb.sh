#!/bin/sh
# A tool below which somebody uses up all processes that its user may have, in sessions of their own
# that ignore SIGTERM, and takes whatever becomes free. All of it ends by itself.
ROLE=bomb setsid perl -e '
  use POSIX "setsid";
  $SIG{CHLD} = $SIG{TERM} = "IGNORE";
  alarm 30;
  while (1) {
    my $pid = fork;
    if (defined $pid && !$pid) { setsid; alarm 30; sleep 30; exit }
    select undef, undef, undef, 0.002 unless defined $pid;
  }' >/dev/null 2>&1 </dev/null &
echo ready
ROLE=leader exec sleep 30
