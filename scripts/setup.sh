#!/bin/sh
# Prepares .venv from a lock file, with the project itself installed in place: scripts/setup.sh requirements.lock
set -eu
cd "$(dirname "$0")/.."
lock=$1

find_python() {
    for name in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

pip() {
    .venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet "$@"
}

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python) || { scripts/debian.sh python3-venv && python=$(find_python); } || {
        echo "make: Python 3.11 or newer is needed; install it, or name it with PYTHON=/path/to/python3" >&2
        exit 2
    }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || scripts/debian.sh "$(basename "$python")-venv"
    echo "make: creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

echo "make: installing $lock into .venv"
pip --require-hashes --requirement "$lock"
pip --no-deps --no-build-isolation --editable .
