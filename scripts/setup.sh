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
    echo "make: Python 3.11 or newer is needed: sudo apt-get install python3-venv, or name it in PYTHON=" >&2
    return 2
}

pip() {
    .venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet "$@"
}

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    find_python >/dev/null 2>&1 || scripts/debian.sh python3-venv 2>/dev/null || true
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || scripts/debian.sh "$(basename "$python")-venv"
    echo "make: creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

echo "make: installing $lock into .venv"
pip --require-hashes --requirement "$lock"
pip --no-deps --no-build-isolation --editable .
.venv/bin/python -m api.warm
