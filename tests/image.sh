#!/usr/bin/env bash
# What must hold of the container image: builds it as sluicegate:test and runs it. To be run in the repository's root;
# needs curl and python3. What it starts is gone when it ends; the image stays.
set -euo pipefail

if ! docker info >/dev/null 2>&1; then
    echo 'SKIPPED: no Docker engine answers here: NOTHING about the container image has been tested'
    exit 0
fi

image=sluicegate:test
name=sluicegate-test-$$
folder=$(mktemp -d)

clean_up() {
    docker ps --all --quiet --filter "label=$name" | xargs -r docker rm --force >/dev/null
    if docker network inspect "$name" >/dev/null 2>&1; then docker network rm "$name" >/dev/null; fi
    if [ -n "${upstream_process:-}" ]; then kill "$upstream_process" || true; fi
    rm -r "$folder"
}
trap clean_up EXIT

passed=0
failed=0

pass() {
    passed=$((passed + 1))
    printf 'ok: %s\n' "$1"
}

fail() {
    failed=$((failed + 1))
    printf 'FAILED: %s\n' "$1"
}

expect() { # WHAT WANTED SEEN
    if [ "$2" = "$3" ]; then pass "$1: $3"; else fail "$1: $3 instead of $2"; fi
}

at_most() { # WHAT MOST SEEN UNIT
    if [ "$3" -le "$2" ]; then pass "$1: $3 $4"; else fail "$1: $3 $4, more than $2"; fi
}

# Says how it went, and if not well, also what the containers said.
finish() {
    if [ "$failed" -gt 0 ]; then
        for container in $(docker ps --all --quiet --filter "label=$name"); do
            docker inspect --format '-- {{.Name}}: {{.State.Status}} {{.State.ExitCode}}' "$container"
            docker logs "$container" 2>&1
        done
    fi
    printf '%d passed, %d failed\n' "$passed" "$failed"
    exit "$((failed > 0))"
}

give_up() {
    fail "$1"
    finish
}

until_true() { # WHAT COMMAND…
    local tries=200
    until "${@:2}"; do
        if [ "$((tries -= 1))" -eq 0 ]; then give_up "not seen in 10 s: $1"; fi
        sleep 0.05
    done
}

run() { # CONTAINER, and the rest of a `docker run`
    docker run --detach --label "$name" --name "$name-$1" --read-only "${@:2}" >/dev/null
}

says() { # CONTAINER WORDS
    [[ $(docker logs "$name-$1" 2>&1) == *"$2"* ]]
}

address() { # CONTAINER: where it says that it listens
    until_true "the start line of $1" says "$1" 'listening on http://' >&2
    docker logs "$name-$1" 2>&1 | sed -n 's|.*listening on \(http://[^, ]*\).*|\1|p'
}

published() { # CONTAINER: where its port 8080 is on this machine
    printf 'http://%s' "$(docker port "$name-$1" 8080/tcp | head -n 1)"
}

has_health() {
    [ -n "$(docker image inspect --format '{{with .Config.Healthcheck}}on{{end}}' "$image")" ]
}

# An upstream on this machine: answers after ?ms=N, 300 unless told, and counts. /stats and /reset are not counted.
cat >"$folder/upstream.py" <<'PYTHON'
import http.server, re, sys, threading, time

lock, inside, peak, answered = threading.Lock(), 0, 0, 0

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global inside, peak, answered
        if self.path == "/reset":
            peak = answered = 0
        if self.path in ("/stats", "/reset"):
            return self.answer(f"inside {inside}, peak {peak}, answered {answered}")
        with lock:
            inside += 1
            peak = max(peak, inside)
        given = re.search(r"ms=(\d+)", self.path)
        time.sleep(int(given[1]) / 1000 if given else 0.3)
        with lock:
            inside -= 1
            answered += 1
        self.answer("done")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 100

server = Server(("127.0.0.1", 0), Handler)
with open(sys.argv[1], "w") as file:
    print(server.server_address[1], file=file)
server.serve_forever()
PYTHON
python3 "$folder/upstream.py" "$folder/port" &
upstream_process=$!
until_true 'the upstream' test -s "$folder/port"
port=$(<"$folder/port")
upstream=http://127.0.0.1:$port

upstream_says() {
    [ "$(curl -sS "$upstream/stats")" = "$1" ]
}

begin=$SECONDS
if ! docker build --network=host -t "$image" . >"$folder/build" 2>&1; then
    cat "$folder/build"
    give_up 'the image is not built'
fi
pass "the image is built, in $((SECONDS - begin)) s"

container=$(docker create --label "$name" "$image")
docker export "$container" >"$folder/image.tar"
at_most 'size, unpacked' $((20 * 1000 * 1000)) "$(stat -c %s "$folder/image.tar")" bytes
# Docker itself adds empty places for what it mounts.
files=$(tar tvf "$folder/image.tar" | awk '$1 ~ /^-/ && $3 > 0 { print $6 }' | sort | xargs)
expect 'all files' 'etc/ssl/certs/ca-certificates.crt sluicegate' "$files"

# All but one test are on the network of the machine, where a second sluicegate's admin port could be taken.
on_host=(--network=host)
if docker image inspect --format '{{.Config.Env}}' "$image" | grep -q SLUICEGATE_ADMIN; then
    on_host+=(--env SLUICEGATE_ADMIN=off)
fi

ten_tasks() { # CONTAINER
    local codes at
    at=$(address "$1")
    curl -sS -o /dev/null "$upstream/reset"
    codes=$(curl --no-progress-meter --parallel --parallel-immediate -m 30 \
        -o /dev/null -w '%{http_code}\n' "$at/[1-10]" | sort | uniq -c | xargs) || true
    expect "$1: ten tasks at limit 3" '10 200, inside 0, peak 3, answered 10' "$codes, $(curl -sS "$upstream/stats")"
}

run flags "${on_host[@]}" "$image" --upstream "$upstream" --limit 3 --listen 127.0.0.1:0
ten_tasks flags

run environment "${on_host[@]}" -e "SLUICEGATE_UPSTREAM=$upstream" -e SLUICEGATE_LIMIT=3 \
    -e SLUICEGATE_LISTEN=127.0.0.1:0 "$image"
ten_tasks environment

cat >"$folder/sluicegate.toml" <<TOML
[server]
listen = "127.0.0.1:0"
[upstreams.api]
url = "$upstream"
[routes.api]
limit = 3
TOML
chmod 644 "$folder/sluicegate.toml"
run file "${on_host[@]}" -v "$folder/sluicegate.toml:/etc/sluicegate/sluicegate.toml:ro" "$image"
ten_tasks file

expect 'user' 65532 "$(docker top "$name-flags" -eo pid,uid | awk 'NR == 2 { print $2 }')"

# From when the kernel made the process, so with some of Docker's own work before the program begins, to when Docker had
# the start line: never less than what the program takes. On a busy machine the shortest of three says most.
times=()
for n in 1 2 3; do
    run "ready$n" "${on_host[@]}" "$image" --upstream "$upstream" --limit 3 --listen 127.0.0.1:0
    address "ready$n" >/dev/null
    line=$(docker logs --timestamps "$name-ready$n" 2>&1 | grep -m 1 'listening on')
    took=$(python3 - "$(docker inspect --format '{{.State.Pid}}' "$name-ready$n")" "${line%% *}" <<'PYTHON'
import datetime, os, sys, time

ticks = int(open(f"/proc/{sys.argv[1]}/stat").read().rsplit(")", 1)[1].split()[19])
boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
ready = datetime.datetime.fromisoformat(sys.argv[2][:26] + "+00:00").timestamp()
print(round((ready - boot - ticks / os.sysconf("SC_CLK_TCK")) * 1000))
PYTHON
    )
    times+=("$took")
done
at_most "ready, the shortest of ${times[*]} ms (100 ms is the aim, on a quiet machine)" 1000 \
    "$(printf '%s\n' "${times[@]}" | sort -n | head -n 1)" ms

# Names: as Docker writes them into /etc/hosts, and as its DNS server tells them.
run hosts "${on_host[@]}" --add-host upstream.test:127.0.0.1 "$image" \
    --upstream "http://upstream.test:$port" --limit 3 --listen 127.0.0.1:0
expect 'a name in /etc/hosts' done "$(curl -sS -m 10 "$(address hosts)/")"

# The inner one has no route for what comes, and the outer one has: a 404 is the inner one's.
docker network create "$name" >/dev/null
run inner --network="$name" --network-alias=inner \
    -e SLUICEGATE__UPSTREAMS__API__URL=http://127.0.0.1:1 \
    -e SLUICEGATE__ROUTES__API__PATH=/api -e SLUICEGATE__ROUTES__API__LIMIT=1 "$image"
run outer --network="$name" --publish=127.0.0.1::8080 "$image" --upstream http://inner:8080 --limit 1
address inner >/dev/null
address outer >/dev/null
expect 'a name by DNS' 404 "$(curl -sS -m 10 -o /dev/null -w '%{http_code}' "$(published outer)/")"

if has_health; then
    status() { docker inspect --format '{{.State.Health.Status}}' "$name-health"; }
    is_decided() { [ "$(status)" != starting ]; }
    run health --health-interval=1s "$image" --upstream http://127.0.0.1:1 --limit 1
    until_true 'the end of health: starting' is_decided
    expect 'health' healthy "$(status)"
else
    echo 'SKIPPED: the Dockerfile has no HEALTHCHECK: whether a container is called healthy has NOT been tested'
fi

curl -sS -o /dev/null "$upstream/reset"
run stop "${on_host[@]}" "$image" --upstream "$upstream" --limit 1 --listen 127.0.0.1:0
at=$(address stop)
curl -sS -m 30 -o "$folder/first" "$at/?ms=3000" &
first=$!
until_true 'the first request inside' upstream_says 'inside 1, peak 1, answered 0'
curl -sS -m 30 -o "$folder/second" "$at/" &
second=$!
sleep 0.5
docker stop -t 30 "$name-stop" >/dev/null &
stop=$!
until_true 'the drain' says stop draining
expect 'docker stop comes with one inside and one waiting' 'inside 1, peak 1, answered 0' \
    "$(curl -sS "$upstream/stats")"
wait "$first" "$second" || true
wait "$stop"
expect 'docker stop: the one inside and the one waiting are answered' 'done done' \
    "$(cat "$folder/first" 2>/dev/null) $(cat "$folder/second" 2>/dev/null)"
expect 'docker stop: exit code' 0 "$(docker inspect --format '{{.State.ExitCode}}' "$name-stop")"

finish
