#!/bin/sh
# Makes .venv from the locked requirements, hashes checked; does nothing when it is up to date. Called by `make env`.
# PYTHON=/path/to/python3 chooses the Python.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd -P)
stamp=.venv/made-from
# The folder too: a virtual environment does not survive being moved.
wanted=$({ cat requirements/bootstrap.txt requirements/all.txt pyproject.toml; echo "$here"; } | cksum)

if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

fail() {
    echo "make env: $1" >&2
    exit 1
}

# It must run: a version manager's shim may stand for a Python that is not installed.
recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for each in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if recent "$each"; then
            echo "$each"
            return
        fi
    done
}

# Whatever environment the caller has switched on must not decide where packages go.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0

usable() {
    recent .venv/bin/python && grep -qF " $here/.venv" .venv/pyvenv.cfg && .venv/bin/python -m pip --version >/dev/null 2>&1
}

if ! usable; then
    python=$(find_python)
    [ -n "$python" ] || fail "Amends needs Python 3.11 or newer; ${PYTHON:-none that was found} is not.
Install one (from your package manager or python.org), or name it: make env PYTHON=/path/to/python3"
    echo "1/3  a virtual environment in .venv ($("$python" -V))"
    rm -rf .venv
    if ! said=$("$python" -m venv .venv 2>&1); then
        rm -rf .venv
        fail "$python cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv). It said:
$said"
    fi
fi
rm -f "$stamp"

uv=$(sed -n 's/^uv==\([^ ]*\).*/uv \1/p' requirements/bootstrap.txt)
if ! .venv/bin/uv --version 2>/dev/null | grep -qF "$uv"; then
    echo "2/3  $uv, the installer"
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt ||
        fail "uv could not be installed; the reason is above. 'make env' goes on from here."
fi

echo "3/3  the packages locked in requirements/all.txt"
.venv/bin/uv pip sync --python .venv/bin/python --require-hashes requirements/all.txt ||
    fail "the packages could not be installed; the reason is above. 'make env' goes on from here."
.venv/bin/uv pip install --python .venv/bin/python --quiet --no-build-isolation --no-deps -e . ||
    fail "the project itself could not be installed; the reason is above."
echo "$wanted" >"$stamp"
