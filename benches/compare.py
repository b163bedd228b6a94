#!/usr/bin/env python3
"""CPU for a request, beside HAProxy and nginx.

Each proxy runs on one core with a limit of 50 and the same forwarding fields, and no access log. (nginx can count requests
but has no queue, so its limit is one that is not reached.) The load and the
upstream have the other cores. The proxies take turns in short windows, and ratios are taken within a round: absolute times
swing with the machine, ratios hardly.

    cargo build --release && python3 benches/compare.py [--rounds 7] [--seconds 3] [--only CASE]

Debian's packages: haproxy nginx-light wrk nghttp2-client.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE = {CORES[0]}
OTHER_CORES = set(CORES[1:]) or PROXY_CORE
UPSTREAM, HAPROXY, NGINX, SLUICEGATE = 18080, 18081, 18082, 18083
HOLD = 18090
TICK = os.sysconf("SC_CLK_TCK")

NGINX_UPSTREAM = """
daemon off; worker_processes 1; pid {dir}/up.pid; error_log {dir}/up.err crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; {temp}
  server {{ listen 127.0.0.1:{UPSTREAM} backlog=4096; root {dir};
    location = /small {{ return 200 "{small}"; }} }} }}
"""

NGINX_PROXY = """
daemon off; worker_processes 1; pid {dir}/px.pid; error_log {dir}/px.err crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; {temp}
  limit_conn_zone $server_port zone=one:1m; limit_conn_status 503;
  upstream up {{ server 127.0.0.1:{UPSTREAM}; keepalive 64; keepalive_requests 1000000000; }}
  upstream held {{ server 127.0.0.1:{HOLD}; }}
  server {{ listen 127.0.0.1:{NGINX} {http2} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header Via "1.1 nginx";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id;
    location / {{ limit_conn one 1000; proxy_pass http://up; }}
    location /held {{ limit_conn one 1; proxy_pass http://held; }} }} }}
"""

HAPROXY_PROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 60s
  timeout queue 10s
  unique-id-format %{{+X}}o%ci%cp%fi%fp%Ts%rt%pid
  unique-id-header X-Request-Id
frontend in
  bind 127.0.0.1:{HAPROXY} {proto}
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Via "1.1 haproxy"
  use_backend held if {{ path /held }}
  default_backend up
backend up
  http-reuse always
  server a 127.0.0.1:{UPSTREAM} maxconn 50
backend held
  http-request return status 503 content-type text/plain string busy if {{ be_conn gt 1 }}
  server a 127.0.0.1:{HOLD}
"""

SLUICEGATE_CONFIG = """
[server]
listen = "127.0.0.1:{SLUICEGATE}"
threads = 1
[admin]
listen = "off"
[log]
access = false
[upstreams.up]
url = "http://127.0.0.1:{UPSTREAM}"
[upstreams.held]
url = "http://127.0.0.1:{HOLD}"
[routes.all]
limit = 50
queue = 1000
upstream = "up"
[routes.held]
path = "/held"
limit = 1
queue = 0
upstream = "held"
"""


def names(**more):
    temp = " ".join(f"{what}_temp_path {more['dir']}/{what};" for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    known = dict(UPSTREAM=UPSTREAM, HAPROXY=HAPROXY, NGINX=NGINX, SLUICEGATE=SLUICEGATE, HOLD=HOLD, small="x" * 100, temp=temp)
    return {**known, **more}


def wait_for(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


class Processes:
    def __init__(self):
        self.all = []

    def start(self, command, cores, port):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                                   preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.all.append(process)
        wait_for(port)
        return process

    def stop(self):
        for process in self.all:
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        for process in self.all:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def family(pid):
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [pid] + [int(child) for child in children]


def cpu(pid):
    """User and system seconds of a process and its children."""
    user = system = 0
    for member in family(pid):
        fields = open(f"/proc/{member}/stat").read().rsplit(") ", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / TICK, system / TICK


def resident(pid):
    total = 0
    for member in family(pid):
        total += int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{member}/status").read()).group(1))
    return total


def load(case, port, seconds):
    """Runs the load; how many requests were answered."""
    url = f"http://127.0.0.1:{port}{case['path']}"
    if case["load"] == "wrk":
        command = ["wrk", "-t1", "-c64", f"-d{seconds}s", url]
        pattern = r"(\d+) requests in"
    else:
        command = ["h2load", "-c8", "-m8", "-t1", f"-D{seconds}", "--warm-up-time=0", url]
        pattern = r"(\d+) done"
    done = subprocess.run(["taskset", "-c", ",".join(map(str, OTHER_CORES)), *command], capture_output=True, text=True)
    found = re.search(pattern, done.stdout)
    if not found or int(found.group(1)) == 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    errors = int(bad.group(1)) if bad else 0
    if errors and not case.get("rejects"):
        sys.exit(f"{url}: {errors} answers were errors")
    return int(found.group(1))


CASES = {
    "small": {"title": "HTTP/1.1, 64 connections, 100-byte answers", "path": "/small", "load": "wrk"},
    "10k": {"title": "HTTP/1.1, 64 connections, 10 KiB answers", "path": "/10k", "load": "wrk"},
    "rejections": {"title": "rejections: one request held, nothing may wait", "path": "/held", "load": "wrk", "rejects": True},
    "h2c": {"title": "HTTP/2 in, HTTP/1.1 out, 8 connections of 8 streams", "path": "/small", "load": "h2load"},
}


def hold(port):
    """A request that stays inside."""
    inside = socket.create_connection(("127.0.0.1", port))
    inside.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.2)
    return inside


def run(case, rounds, seconds, directory):
    processes = Processes()
    h2 = case["load"] == "h2load"
    write = lambda name, text: open(os.path.join(directory, name), "w").write(text)
    write("up.conf", NGINX_UPSTREAM.format(**names(dir=directory)))
    write("px.conf", NGINX_PROXY.format(**names(dir=directory, http2="http2" if h2 else "")))
    write("ha.conf", HAPROXY_PROXY.format(**names(dir=directory, proto="proto h2" if h2 else "")))
    write("sg.toml", SLUICEGATE_CONFIG.format(**names(dir=directory)))
    write("10k", "x" * 10240)
    held = socket.create_server(("127.0.0.1", HOLD), backlog=16)
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    haproxy = shutil.which("haproxy") or "/usr/sbin/haproxy"
    try:
        processes.start([nginx, "-p", directory, "-c", f"{directory}/up.conf"], OTHER_CORES, UPSTREAM)
        proxies = {
            "haproxy": (HAPROXY, processes.start([haproxy, "-f", f"{directory}/ha.conf"], PROXY_CORE, HAPROXY)),
            "nginx": (NGINX, processes.start([nginx, "-p", directory, "-c", f"{directory}/px.conf"], PROXY_CORE, NGINX)),
            "sluicegate": (SLUICEGATE, processes.start(
                [f"{ROOT}/target/release/sluicegate", "-c", f"{directory}/sg.toml"], PROXY_CORE, SLUICEGATE)),
        }
        holding = [hold(port) for port, _ in proxies.values()] if case.get("rejects") else []
        for port, _ in proxies.values():
            load(case, port, 1)
        rows = {name: [] for name in proxies}
        for _ in range(rounds):
            for name, (port, process) in proxies.items():
                before, start = cpu(process.pid), time.monotonic()
                answered = load(case, port, seconds)
                after, elapsed = cpu(process.pid), time.monotonic() - start
                user, system = (1e6 * (b - a) / answered for a, b in zip(before, after))
                rows[name].append((answered / elapsed, user, system))
        memory = {name: resident(process.pid) for name, (_, process) in proxies.items()}
        del holding
        report(case["title"], rows, memory)
    finally:
        processes.stop()
        held.close()


def report(title, rows, memory):
    print(f"\n### {title}\n")
    print("| proxy | requests/s | CPU us/request | user | system | x HAProxy | x nginx | RSS MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    total = {name: [user + system for _, user, system in windows] for name, windows in rows.items()}
    for name, windows in rows.items():
        rate, user, system = (statistics.median(column) for column in zip(*windows))
        ratios = [statistics.median(a / b for a, b in zip(total[name], total[other])) for other in ["haproxy", "nginx"]]
        print(f"| {name} | {rate:,.0f} | {statistics.median(total[name]):.1f} | {user:.1f} | {system:.1f} "
              f"| {ratios[0]:.2f} | {ratios[1]:.2f} | {memory[name] / 1024:.1f} |")
    sys.stdout.flush()


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()[0].strip()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--seconds", type=int, default=3)
    arguments.add_argument("--only", choices=CASES)
    wanted = arguments.parse_args()
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    print(f"{model.group(1) if model else 'unknown processor'}, {len(CORES)} cores, Linux {os.uname().release}; "
          f"{version('haproxy', '-v').split(' 20')[0]}, {version('/usr/sbin/nginx', '-v')}, {version(f'{ROOT}/target/release/sluicegate', '--version')}; "
          f"{wanted.rounds} rounds of {wanted.seconds} s each")
    for name, case in CASES.items():
        if wanted.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="sluicegate-compare-") as directory:
                os.chmod(directory, 0o755)
                run(case, wanted.rounds, wanted.seconds, directory)


if __name__ == "__main__":
    main()
