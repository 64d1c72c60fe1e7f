# Shell functions of the test scripts; to be sourced by bash from the project's top folder.

# Folder for what tests install: virtual environments, Node.
cache=${AIPROXY_TEST_CACHE:-$PWD/target/test-cache}
# Node for the client suite where the system's is older than the client wants.
node_version=24.21.0

say() { printf '==> %s\n' "$*"; }

die() {
    printf 'cannot go on: %s\n' "$*" >&2
    exit 1
}

# Installs Debian packages, once. Without apt-get or the right to use it, says what is missing.
apt_install() {
    local sudo=
    command -v apt-get >/dev/null || die "missing: $*; install it by hand"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "missing: $*; apt-get needs root"
        sudo=sudo
    fi
    say "installing $*"
    if [ -z "${apt_updated:-}" ]; then
        $sudo apt-get -qq update </dev/null || die "apt-get update failed"
        apt_updated=yes
    fi
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --yes --no-install-recommends "$@" </dev/null >"$cache/apt.log" 2>&1 \
        || { tail -n 20 "$cache/apt.log" >&2; die "apt-get install $* failed"; }
}

# need COMMAND PACKAGE...: installs the packages when the command is not there.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null || apt_install "$@"
    command -v "$command" >/dev/null || die "no $command after installing $*"
}

# PostgreSQL's programs are not on Debian's PATH.
find_postgres() {
    local bin
    for bin in /usr/lib/postgresql/*/bin; do
        [ -x "$bin/initdb" ] && PATH=$bin:$PATH
    done
    command -v initdb >/dev/null
}

# as_postgres COMMAND...: PostgreSQL does not run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"
    else
        "$@"
    fi
}

# Starts a PostgreSQL of our own and sets postgres_url; stop_postgres ends it.
start_postgres() {
    postgres_dir=$(mktemp -d)
    local port log=$postgres_dir/log
    port=$(free_port)
    if [ "$(id -u)" = 0 ]; then chown postgres "$postgres_dir"; fi
    {
        as_postgres env -C "$postgres_dir" initdb -D data -U postgres -A trust -E UTF8 --locale=C \
            --no-sync
        as_postgres env -C "$postgres_dir" pg_ctl -D data -w -t 60 -l server.log start -o \
            "-F -p $port -c max_connections=300 -c listen_addresses=127.0.0.1 -c unix_socket_directories=$postgres_dir"
    } >"$log" 2>&1 </dev/null || { cat "$log" "$postgres_dir/server.log" >&2; die "PostgreSQL did not start"; }
    postgres_url=postgres://postgres@127.0.0.1:$port/postgres
}

stop_postgres() {
    [ -n "${postgres_dir:-}" ] || return 0
    as_postgres env -C "$postgres_dir" pg_ctl -D data -m immediate stop >/dev/null 2>&1
    rm -rf "$postgres_dir"
    postgres_dir=
}

find_redis() { command -v redis-server >/dev/null; }

# Starts a Redis of our own, without persistence, and sets redis_url; stop_redis ends it.
start_redis() {
    redis_dir=$(mktemp -d)
    local port
    port=$(free_port)
    redis-server --bind 127.0.0.1 --port "$port" --dir "$redis_dir" --save "" --appendonly no \
        >"$redis_dir/log" 2>&1 </dev/null &
    redis_pid=$!
    until grep -q 'Ready to accept connections' "$redis_dir/log"; do
        kill -0 $redis_pid 2>/dev/null || { cat "$redis_dir/log" >&2; die "Redis did not start"; }
        sleep 0.1
    done
    redis_url=redis://127.0.0.1:$port
}

stop_redis() {
    [ -n "${redis_dir:-}" ] || return 0
    kill $redis_pid 2>/dev/null
    wait $redis_pid 2>/dev/null
    rm -rf "$redis_dir"
    redis_dir=
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for URL: until it answers 200, for 30 s.
wait_for() {
    curl --silent --fail --output /dev/null --retry 300 --retry-delay 0 --retry-max-time 30 \
        --retry-all-errors --retry-connrefused "$1"
}

# install_clients: the real clients, in the cache; sets python and node.
install_clients() {
    local wanted arch
    mkdir -p "$cache"
    need curl curl ca-certificates
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    need npm nodejs npm

    python=$cache/python/bin/python
    wanted=$(cat tests/clients/python/requirements.txt)
    if [ "$(cat "$cache/python/installed" 2>/dev/null)" != "$wanted" ]; then
        say "installing the Python client"
        rm -rf "$cache/python"
        python3 -m venv "$cache/python" || die "no virtual environment for Python"
        "$python" -m pip install --quiet --disable-pip-version-check --no-input \
            -r tests/clients/python/requirements.txt </dev/null || die "pip could not install the Python client"
        printf '%s\n' "$wanted" >"$cache/python/installed"
    fi

    node=$(command -v node)
    if ! "$node" -e 'process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)'; then
        case $(uname -m) in
            x86_64) arch=x64 ;;
            aarch64) arch=arm64 ;;
            *) die "Node 22 or newer is wanted, $("$node" --version) is here" ;;
        esac
        node=$cache/node/node_modules/node-linux-$arch/bin/node
        if [ "$("$node" --version 2>/dev/null)" != "v$node_version" ]; then
            say "installing Node $node_version"
            npm install --silent --no-audit --no-fund --prefix "$cache/node" \
                "node-linux-$arch@$node_version" </dev/null || die "npm could not install Node $node_version"
        fi
        "$node" --version >/dev/null || die "Node $node_version does not run"
    fi
    wanted=$(cat tests/clients/node/package-lock.json)
    if [ "$(cat tests/clients/node/node_modules/installed 2>/dev/null)" != "$wanted" ]; then
        say "installing the Node client"
        (cd tests/clients/node && PATH=$(dirname "$node"):$PATH npm ci --silent --no-audit --no-fund </dev/null) \
            || die "npm could not install the Node client"
        printf '%s\n' "$wanted" >tests/clients/node/node_modules/installed
    fi
}
