# shellcheck shell=bash
# Helpers that install what is missing, and only that. Source this file.

# Runs a command as root: directly, or through sudo. Fails with a message if neither is possible.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null 2>&1; then
        echo "error: root is needed for: $*" >&2
        echo "hint: run this as root, or install sudo" >&2
        return 1
    elif sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; then
        sudo "$@"
    else
        echo "error: root is needed for: $*" >&2
        echo "hint: run \`sudo -v\` in this terminal, then the same command again" >&2
        return 1
    fi
}

package_is_installed() {
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# ensure_apt PACKAGE...: installs the packages that are missing; calls apt-get only if there are any.
ensure_apt() {
    local package missing=()
    for package in "$@"; do
        package_is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local started=$SECONDS log
    log=$(mktemp)
    echo "installing ${missing[*]} …" >&2
    # The package lists of a fresh machine are empty or old; try without refreshing them first.
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        "${missing[@]}" >"$log" 2>&1; then
        if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
            tail -n 20 "$log" >&2
            rm -f "$log"
            echo "error: could not install: ${missing[*]}" >&2
            return 1
        fi
    fi
    rm -f "$log"
    echo "installed ${missing[*]} ($((SECONDS - started)) s)" >&2
}
