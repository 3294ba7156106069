#!/usr/bin/env bash
# Run a command so that Ctrl-C ends it without Python's traceback: in a separate process group, which gets SIGTERM.
#   DBKIT_BEGUN=FILE    once this file exists, the group gets SIGINT instead: the command has begun, and must clean up
set -u
child=

stop() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        local signal=TERM
        if [ -n "${DBKIT_BEGUN:-}" ] && [ -e "$DBKIT_BEGUN" ]; then signal=INT; fi
        kill "-$signal" -- "-$child"
        wait "$child"
    fi 2>/dev/null
    exit $((128 + $1))
}
trap 'stop 2' INT
trap 'stop 15' TERM
trap 'stop 1' HUP
# it may write to the terminal, also where background processes are stopped for that (stty tostop)
trap '' TTOU

set -m
"$@" </dev/null &
child=$!
wait "$child"
