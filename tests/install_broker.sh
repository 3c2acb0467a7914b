#!/bin/sh
# Installs what some tests need besides Python (RabbitMQ, AMQP tools, Chromium, programs of operations), where they are missing and this is root on
# Debian or Ubuntu. Elsewhere, and with --only-say, it says in one line what will not be tested.
# With CI=true a broker that is still missing is a failure.
set -eu

missing() {
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || printf ' rabbitmq-server'
    command -v amqp-publish >/dev/null || printf ' amqp-tools'
    command -v chromium >/dev/null || printf ' chromium'
    command -v supervisord >/dev/null || printf ' supervisor'
    command -v systemd-analyze >/dev/null || printf ' systemd'
    command -v nagios4 >/dev/null || printf ' nagios4-core'
}

packages=$(missing)
if [ -n "$packages" ] && [ "${1-}" != --only-say ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing$packages" >&2
    # The tests start nodes of their own: a policy of 101 keeps the package from starting a server for the machine.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # What apt-get could not install is missing still, and reported below.
    { apt-get update -qq && apt-get install -qq --no-install-recommends $packages; } >/dev/null || true
    packages=$(missing)
fi

[ -n "$packages" ] || exit 0
echo "########## NOT TESTED, BECAUSE NOT INSTALLED:$packages (as root: apt-get install$packages) ##########" >&2
case "${CI-}$packages" in true*rabbitmq-server*) exit 1 ;; esac
