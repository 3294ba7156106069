#!/usr/bin/env bash
# Start a container: wait for the database, migrate, then replace this process by the command; without a command, exit.
#   MIGRATE_ON_START=0    another process migrates: wait until that is done
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
received=

# Forward a signal to the running step. Each step is in the background, because bash as the first process handles a signal
# only after a foreground process has ended. Background processes ignore SIGINT, so SIGTERM is sent for both.
stop() {
    trap '' INT TERM
    received=$1
    # between two steps there is no process to signal
    kill -TERM "$(jobs -pr)" 2>/dev/null || exit $((128 + received))
}
trap 'stop 2' INT
trap 'stop 15' TERM

# Run a step; continue only if it succeeded and no signal came.
run() {
    local code=0
    "$@" &
    wait $! || code=$?
    if [ -n "$received" ]; then
        # the signal has interrupted the wait: wait again, for the step itself
        code=0
        wait $! || code=$?
        case $code in 0 | 143) code=$((128 + received)) ;; esac
    fi
    if [ "$code" != 0 ]; then exit "$code"; fi
}

case ${MIGRATE_ON_START-1} in
1)
    run python -m dbkit wait
    run alembic -c "$root/alembic.ini" upgrade head
    ;;
0) run python -m dbkit wait --at-head ;;
*)
    printf 'docker-entrypoint: MIGRATE_ON_START is %q: write 0 or 1, or leave it out.\n' "$MIGRATE_ON_START" >&2
    exit 2
    ;;
esac

if [ $# -gt 0 ]; then exec "$@"; fi
