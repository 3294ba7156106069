#!/usr/bin/env bash
# Make or refresh ./venv from lock/*.txt. Safe to repeat, to interrupt and to start twice; instant when nothing changed.
#   PYTHON=python3.13 ./venv-setup.sh    chooses the interpreter
set -euo pipefail
unset CDPATH

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd -- "$root"
python=${PYTHON:-python3}
locks=(lock/build.txt lock/dev.txt lock/embedded.txt)
stamp=venv/.dbkit-stamp        # present: complete, and made for what it names
unfinished=venv/.dbkit-unfinished # present: a set-up began here and did not end

fail() {
    printf 'venv-setup: %s\n' "$@" >&2
    exit 2
}

# What a finished venv was made for: its place (scripts hold absolute paths), its interpreter, its packages.
wanted_stamp() {
    printf '%s\n' "$root" "$(readlink -f venv/bin/python)"
    cat "${locks[@]}" venv-setup.sh | cksum
}

is_current() {
    [ -x venv/bin/python ] && [ -f "$stamp" ] && [ ! -e "$unfinished" ] || return 1
    [ "$(cat "$stamp")" = "$(wanted_stamp)" ] || return 1
    [ -z "${PYTHON:-}" ] || same_interpreter
}

same_interpreter() {
    local identity='import sys; print(sys.version, sys.base_prefix)'
    [ "$(venv/bin/python -c "$identity")" = "$("$python" -c "$identity")" ]
}

# Whether a person looks at stderr.
is_watched() { [ -t 2 ] && [ "${TERM:-}" != dumb ] && [ -z "${CI:-}" ]; }

has_uv() { command -v uv >/dev/null 2>&1; }

# Debian keeps it in the package python3-venv. uv installs without pip.
has_ensurepip() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

check_python() {
    command -v "$python" >/dev/null 2>&1 || fail "$python is not on PATH." "  Install Python 3.11 or newer, or name one: PYTHON=/path/to/python3 ./venv-setup.sh"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version 2>&1) is too old: 3.11 or newer is needed." "  Name another one: PYTHON=python3.13 ./venv-setup.sh"
    has_ensurepip || has_uv ||
        fail "$python has no venv module." "  On Debian and Ubuntu: apt install python3-venv"
}

# One set-up at a time. The lock belongs to the open file, so it outlives the Python that took it
# and is let go by the kernel when this shell ends, however it ends.
take_lock() {
    mkdir -p .dbkit
    # who may read it could hold it
    (umask 077 && : >>.dbkit/venv.lock)
    chmod 600 .dbkit/venv.lock 2>/dev/null || true
    exec 9>>.dbkit/venv.lock
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
}

# Keep a sound venv and whatever else was put into it; rebuild one that is half made, was moved, or has another Python.
make_venv() {
    if [ -e venv ] && [ ! -e "$unfinished" ]; then
        [ -f venv/pyvenv.cfg ] || [ -z "$(ls -A venv)" ] ||
            fail "./venv exists and is not a virtual environment." "  Move it away, then run this again."
        if is_reusable; then
            touch "$unfinished"
            return
        fi
    fi
    # moved away as a whole before it is removed: a half removed venv could not be distinguished from other files
    if [ -e venv ]; then mv venv ".dbkit/venv.old.$$"; fi
    rm -rf .dbkit/venv.old.*
    mkdir venv
    touch "$unfinished"
    printf 'venv-setup: making ./venv with %s\n' "$("$python" --version)" >&2
    if has_ensurepip; then "$python" -m venv venv; else "$python" -m venv --without-pip venv; fi
}

is_reusable() {
    [ -x venv/bin/python ] || return 1
    has_uv || [ -x venv/bin/pip ] || return 1
    venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || return 1
    if [ -f "$stamp" ]; then
        [ "$(head -n 2 "$stamp")" = "$(wanted_stamp | head -n 2)" ] || return 1
    fi
    [ -z "${PYTHON:-}" ] || same_interpreter
}

install_packages() {
    if venv/bin/python -c 'import sys, sysconfig; sys.exit("musl" not in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""))'; then
        printf 'venv-setup: no embedded PostgreSQL for musl (Alpine); set DATABASE_URL in .env\n' >&2
        locks=(lock/build.txt lock/dev.txt)
    fi
    local requirements=()
    for lock in "${locks[@]}"; do requirements+=(-r "$lock"); done
    if has_uv; then
        printf 'venv-setup: installing packages\n' >&2
        local quiet=--quiet
        if is_watched; then quiet=; fi # it shows its progress itself
        uv pip install ${quiet:+"$quiet"} --python venv/bin/python --require-hashes "${requirements[@]}"
    else
        venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --no-compile --require-hashes "${requirements[@]}" |
            show_progress "$(cat "${locks[@]}" | grep -c '^[a-z0-9].*==')"
    fi
    if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then compile_packages; fi
}

# Compiled by the first command that imports them, or here where Python may write no bytecode: each would compile them.
compile_packages() {
    venv/bin/python -c 'import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0)'
}

# On a terminal, how many of so many packages pip has come to, and the time left; else one line.
show_progress() {
    local line count=0 begun=$SECONDS
    is_watched || printf 'venv-setup: installing packages\n' >&2
    while IFS= read -r line; do
        is_watched || continue
        case $line in
        Collecting* | "Requirement already"*)
            printf '\r\033[Kvenv-setup: installing packages: %d of %d%s' "$((count += 1))" "$1" "$(time_left "$count" "$1" "$begun")" >&2
            ;;
        "Installing collected packages"*) printf '\r\033[Kvenv-setup: installing packages: unpacking %d' "$count" >&2 ;;
        esac
    done
    if is_watched; then printf '\r\033[Kvenv-setup: installed %d packages\n' "$count" >&2; fi
}

# ", about 12 s left" for so many of so many packages since a moment; nothing at the beginning, when it is not known.
time_left() {
    local passed=$((SECONDS - $3))
    if [ "$passed" -ge 2 ] && [ "$1" -lt "$2" ]; then printf ', about %d s left' "$((passed * ($2 - $1) / $1))"; fi
}

# The command and the package run from this checkout. lock/build.txt has what builds the package.
install_dbkit() {
    if has_uv; then
        uv pip install --quiet --python venv/bin/python --no-deps --no-build-isolation --editable .
    else
        venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet --no-deps --no-build-isolation --editable .
    fi
}

if [ -z "${DBKIT_SETTING_UP:-}" ]; then
    # with PYTHON, that is asked, too
    if [ -z "${PYTHON:-}" ] && is_current 2>/dev/null; then exit 0; fi
    DBKIT_SETTING_UP=1 exec scripts/interruptible.sh ./venv-setup.sh
fi
if is_current; then exit 0; fi
check_python
take_lock
if is_current; then exit 0; fi
make_venv
install_packages
install_dbkit
wanted_stamp >"$stamp"
rm "$unfinished"
