#!/bin/sh
# build_broker.sh SUITE FOLDER: puts a Debian of that suite with its RabbitMQ into the folder (400 MB, a minute), where it
# is not there yet. From the mirror that apt uses on this machine; root on Debian only, for debootstrap makes devices and
# tests/rabbit.py mounts (in a namespace of its own) when it starts the server.
set -eu
suite=$1 root=$2

found() {
    [ -x "$root/usr/lib/rabbitmq/bin/rabbitmq-server" ] || return 1
    sed -n '/^Package: rabbitmq-server$/,/^$/s/^Version: /RabbitMQ /p' "$root/var/lib/dpkg/status"
}
! found || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "########## CANNOT BUILD RABBITMQ OF DEBIAN $suite: this needs root on Debian ##########" >&2
    exit 1
fi
command -v debootstrap >/dev/null || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends debootstrap
} >/dev/null

mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)
if [ -z "$mirror" ]; then
    echo "########## CANNOT BUILD RABBITMQ OF DEBIAN $suite: apt on this machine uses no mirror of Debian ##########" >&2
    exit 1
fi
eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
[ -z "${http_proxy-}" ] || export http_proxy

# A suite newer than this machine's debootstrap is made as the newest that it knows: the scripts are links to one file.
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/trixie
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid

echo "building Debian $suite with its RabbitMQ in $root (a minute; log beside it)" >&2
mkdir -p "$(dirname "$root")"
rm -rf "$root.making"
# In a mount namespace of its own, so that nothing stays mounted, however this ends.
timeout 600 unshare --mount --propagation private debootstrap --variant=minbase \
    --include=ca-certificates,procps,rabbitmq-server "$suite" "$root.making" "$mirror" "$script" >"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    echo "########## CANNOT BUILD RABBITMQ OF DEBIAN $suite: see $root.log ##########" >&2
    exit 1
}
rm -rf "$root.making/var/cache/apt/archives"
echo '127.0.0.1 localhost' >"$root.making/etc/hosts" # RabbitMQ 4.3 does not start without
mv "$root.making" "$root"
found
