#!/bin/sh
# older.sh DIRECTORY [SUITE…]: what the systemd of other releases of Debian says of our units; by hand, as root, with
# mmdebstrap. Without suites: bullseye (systemd 247) and trixie (257). DIRECTORY keeps their trees (100 MB each).
set -eu
directory=$1; shift
[ $# -gt 0 ] || set -- bullseye trixie
units=$(cd "$(dirname "$0")/../../systemd" && pwd)
for suite in "$@"; do
    tree=$directory/$suite
    [ -d "$tree/etc" ] || mmdebstrap --quiet --variant=extract --include=systemd \
        --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$tree" http://deb.debian.org/debian
    places=$tree/etc/systemd/system
    mkdir -p "$tree/proc" "$tree/sys" "$tree/opt/bin" "$tree/opt/lib/glmd/venv/bin" "$places"
    for program in opt/bin/glmd opt/lib/glmd/venv/bin/python bin/kill; do
        [ -x "$tree/$program" ] || install -m 755 /dev/null "$tree/$program"
    done
    for unit in "$units"/glmd*.service "$units"/glmd*.socket "$units"/glmd*.timer; do
        sed 's|@PREFIX@|/opt|g' "$unit" >"$places/${unit##*/}"
    done
    printf '[Socket]\nListenStream=/run/dbus\n' >"$places/dbus.socket"
    chroot "$tree" systemctl --version | head -1
    for unit in glmd.service glmd-plain.service glmd-job@0042-1-train.service glmd-notify.service glmd-web.socket \
        glmd-web.service glmd-metrics.timer glmd-metrics.service; do
        echo "  $unit"
        unshare --mount sh -c "for place in proc sys; do mount --rbind /\$place '$tree'/\$place; done
            SYSTEMD_LOG_COLOR=0 chroot '$tree' systemd-analyze verify --man=no $unit 2>&1 || echo failed" | sed 's/^/    /'
    done
done
