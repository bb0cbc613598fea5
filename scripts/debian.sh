#!/bin/sh
# Makes sure of what Debian packages bring: installs what is missing as root, else says what to install.
set -eu
command -v apt-get >/dev/null || exit 0 # elsewhere, whatever needs it says so

have() {
    case $1 in
        postgresql-postgis) have_postgis ;;
        chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
        libatomic1) ls /usr/lib/*/libatomic.so.1 ;; # for playwright
        redis-server) command -v redis-server ;;
        node-react-dom) ls /usr/share/nodejs/react-dom/umd/react-dom.development.js ;;
        make) command -v make ;;
        *) false ;;
    esac >/dev/null 2>&1
}

have_postgis() {
    ls /usr/lib/postgresql/*/bin/initdb /usr/share/postgresql/*/extension/postgis.control
}

quietly() {
    "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; return 1; }
}

missing=
for package in "$@"; do
    have "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "make: missing:$missing; install with: sudo apt-get install$missing" >&2
    exit 2
fi

echo "make: installing Debian packages:$missing"
log=$(mktemp)
no_cluster=/etc/postgresql-common/createcluster.d/tracker-tests.conf # the tests start a server of their own
trap 'rm -f "$log" "$no_cluster"' EXIT
mkdir -p "$(dirname "$no_cluster")"
echo 'create_main_cluster = false' >"$no_cluster"
export DEBIAN_FRONTEND=noninteractive
quietly apt-get update
# shellcheck disable=SC2086 # a list of packages
quietly apt-get install --yes --no-install-recommends $missing
