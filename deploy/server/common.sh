# shellcheck shell=bash
# What deploy/install, deploy/back and deploy/manage share. Releases are folders below /opt/chat/releases; each has a virtual
# environment of its own and a link `socket` to where it listens. /opt/chat/current is the one that serves: nginx
# connects to current/socket. /opt/chat/previous is the one that served before.
OPT=/opt/chat
RELEASES=$OPT/releases
SETTINGS=/etc/chat/env

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

require_root_and_systemd() {
    [ "$(id -u)" = 0 ] || fail "this needs root: run it with sudo."
    [ -d /run/systemd/system ] || fail "this needs a machine that systemd has booted."
}

require_installed() { [ -e "$SETTINGS" ] || fail "there is no $SETTINGS: run deploy/install NAME first."; }

lock() { # Only one at a time changes what serves.
    exec 9>/run/chat-deploy.lock
    flock --nonblock 9 || fail "another deployment is running."
}

setting() { # setting NAME: its value in the settings, without quotes
    sed -n "s/^$1=//p" "$SETTINGS" | tail -n 1 | sed -e "s/^[\"']//" -e "s/[\"'] *\$//"
}

name_of_the_site() { # the host name in PUBLIC_URL
    local url
    url=$(setting PUBLIC_URL)
    url=${url#*://}
    url=${url%%/*}
    printf '%s' "${url%%:*}"
}

release_of() { # release_of LINK: the release that it leads to, or nothing
    local target
    target=$(readlink "$OPT/$1" || true)
    printf '%s' "${target##*/}"
}

point() { # point LINK RELEASE, in one step: at every moment the link leads to a release
    ln -sfn "releases/$2" "$OPT/$1.new"
    mv -fT "$OPT/$1.new" "$OPT/$1"
}

manage() { # manage RELEASE ARGUMENT...: manage.py of this release, as the user and with the settings of the service
    local release=$1 way=(--pipe)
    shift
    if [ -t 0 ] && [ -t 1 ]; then
        way=(--pty)
    fi
    systemd-run --quiet --wait --collect "${way[@]}" --uid=chat --gid=chat \
        --property=EnvironmentFile="$SETTINGS" --setenv=ENV_FILE=/dev/null --setenv=PYTHONUNBUFFERED=1 \
        --property=UMask=0077 --property=NoNewPrivileges=yes --working-directory="$RELEASES/$release/main" \
        "$RELEASES/$release/env/bin/python" manage.py "$@"
}

answers() { # answers RELEASE PATH: whether it is 200, asked as nginx asks
    curl --silent --fail --output /dev/null --max-time 5 --unix-socket "/run/chat/$1.sock" \
        --header "Host: $(name_of_the_site)" --header "X-Forwarded-Proto: https" "http://localhost$2"
}

becomes_ready() { # becomes_ready RELEASE: whether it answers within READY_SECONDS
    local end=$((SECONDS + ${READY_SECONDS:-60}))
    until answers "$1" /readyz && answers "$1" /chat; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 1
    done
}

stop_all_but() { # stop_all_but RELEASE: end the others; what they are answering has 45 seconds
    local unit others=()
    while read -r unit; do
        [[ -z $unit || $unit = "chat@$1."* ]] || others+=("$unit")
    done < <({
        systemctl list-units --all --plain --no-legend 'chat@*' | cut -d ' ' -f 1
        find /etc/systemd/system/*.wants -name 'chat@*' -printf '%f\n' # those that a boot would start
    } | sort -u)
    [ ${#others[@]} -gt 0 ] || return 0
    systemctl --quiet disable "${others[@]}"
    systemctl stop "${others[@]}"
}

switch_to() { # switch_to RELEASE: let it serve, and end the one before; false, and all is as before, if it is not ready
    local release=$1 before
    before=$(release_of current)
    systemctl start "chat@$release.socket" "chat@$release.service" || true
    if ! becomes_ready "$release"; then
        systemctl stop "chat@$release.service" "chat@$release.socket" || true
        return 1
    fi
    systemctl --quiet enable "chat@$release.socket" "chat@$release.service"
    [ -z "$before" ] || [ "$before" = "$release" ] || point previous "$before" || return 1
    point current "$release" || return 1
    # What connected to the socket of before in this moment is accepted within it.
    sleep 2
    stop_all_but "$release"
}
