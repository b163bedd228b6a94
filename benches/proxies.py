"""The proxies that are compared, how each is configured, and how they are run. Used by the scripts beside it."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.environ.get("SLUICEGATE", f"{ROOT}/target/release/sluicegate")
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE = {CORES[0]}
OTHER_CORES = set(CORES[1:]) or PROXY_CORE
UPSTREAM, HAPROXY, NGINX, SLUICEGATE, BARE, ADMIN = 29180, 29181, 29182, 29183, 29184, 29185
HOLD = 29190
PORTS = {"haproxy": HAPROXY, "nginx": NGINX, "sluicegate": SLUICEGATE}
TICK = os.sysconf("SC_CLK_TCK")
# Debian's packages of what is run.
PACKAGES = {"haproxy": "haproxy", "nginx": "nginx-light", "wrk": "wrk", "h2load": "nghttp2-client", "curl": "curl"}

NGINX_UPSTREAM = """
daemon off; worker_processes 1; pid {dir}/up.pid; error_log {dir}/up.err crit; worker_rlimit_nofile 40000;
events {{ worker_connections 16384; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000000; {temp}
  server {{ listen 127.0.0.1:{UPSTREAM} backlog=4096; root {dir};
    location = /small {{ return 200 "{small}"; }} }} }}
"""

# nginx can count requests but has no queue, so its limit on / is one that is not reached.
NGINX_PROXY = """
daemon off; worker_processes {workers}; pid {dir}/px.pid; error_log {dir}/px.err crit; worker_rlimit_nofile 80000;
events {{ worker_connections 32768; }}
http {{ access_log {nginx_log}; keepalive_requests 1000000000; keepalive_timeout 10m; {temp}
  limit_conn_zone $server_port zone=one:1m; limit_conn_status 503;
  upstream up {{ server 127.0.0.1:{UPSTREAM}; keepalive 64; keepalive_requests 1000000000; }}
  upstream held {{ server 127.0.0.1:{HOLD}; }}
  server {{ listen 127.0.0.1:{NGINX} {nginx_h2} backlog=4096; proxy_read_timeout 10m;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header Via "1.1 nginx";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id;
    location / {{ limit_conn one 1000; proxy_pass http://up; }}
    location /held {{ limit_conn one 1; proxy_pass http://held; }}
    location /inside {{ limit_conn one 20000; proxy_pass http://held; }} }} }}
"""

HAPROXY_PROXY = """
global
  nbthread {workers}
  maxconn {haproxy_most}
  no strict-limits
  {haproxy_log}
defaults
  mode http
  log global
  {haproxy_format}
  timeout connect 2s
  timeout client 10m
  timeout server 10m
  timeout queue 10m
  unique-id-format %{{+X}}o%ci%cp%fi%fp%Ts%rt%pid
  unique-id-header X-Request-Id
frontend in
  bind 127.0.0.1:{HAPROXY} {haproxy_h2}
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Via "1.1 haproxy"
  use_backend held if {{ path /held }}
  use_backend line if {{ path /line }}
  use_backend inside if {{ path /inside }}
  default_backend up
backend up
  http-reuse always
  server a 127.0.0.1:{UPSTREAM} maxconn 50
backend held
  http-request return status 503 content-type text/plain string busy if {{ be_conn gt 1 }}
  server a 127.0.0.1:{HOLD}
backend line
  server a 127.0.0.1:{HOLD} maxconn 1
backend inside
  server a 127.0.0.1:{HOLD}
"""

SLUICEGATE_CONFIG = """
[server]
listen = "127.0.0.1:{SLUICEGATE}"
threads = {workers}
max_connections = 32768
idle_timeout = "10m"
[admin]
listen = {admin}
[log]
access = {sluicegate_log}
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
[routes.line]
path = "/line"
limit = 1
queue = 20000
queue_timeout = "10m"
upstream = "held"
[routes.inside]
path = "/inside"
limit = 20000
queue = 0
upstream = "held"
"""


def names(directory, h2=False, log=False, workers=1):
    """What the configurations above leave open."""
    temp = " ".join(f"{what}_temp_path {directory}/{what};" for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    return dict(
        dir=directory, workers=workers, UPSTREAM=UPSTREAM, HAPROXY=HAPROXY, NGINX=NGINX, SLUICEGATE=SLUICEGATE, HOLD=HOLD, small="x" * 100, temp=temp,
        # It would want two files for each, which idle clients don't take.
        haproxy_most=min(32768, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500),
        nginx_h2="http2" if h2 else "", haproxy_h2="proto h2" if h2 else "",
        nginx_log=f"{directory}/nginx.log combined" if log else "off",
        haproxy_log="log stdout format raw local0" if log else "", haproxy_format="option httplog" if log else "",
        sluicegate_log="true" if log else "false",
        # Without it, nobody could see what is counted, and nothing would be.
        admin=f'"127.0.0.1:{ADMIN}"',
    )


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")


def install():
    """Installs what is missing, where it may."""
    missing = [package for name, package in PACKAGES.items() if not program(name)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"these are missing, and take: sudo {' '.join(command)}")
    subprocess.run(["apt-get", "update", "-q"], check=True, stdout=sys.stderr)
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    # Debian starts them; ours are started by hand.
    for service in ["haproxy", "nginx"]:
        if shutil.which("systemctl"):
            subprocess.run(["systemctl", "stop", service], stderr=subprocess.DEVNULL)


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def wait_for(port):
    for _ in range(200):
        if is_listening(port):
            return
        time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


def raise_open_files():
    """Allows as many open files as are needed, or as the system allows, for us and what we start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for files in [max(most, 80_000), most]:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            return files
        except (ValueError, PermissionError):
            pass
    return most


class Held:
    """An upstream that accepts and never answers."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", HOLD), backlog=4096)
        self.inside = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                self.inside.append(self.listener.accept()[0])
            except OSError:
                return

    def let_go(self):
        while self.inside:
            self.inside.pop().close()

    def close(self):
        # Closing alone would not wake the one who accepts.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.let_go()


class Processes:
    """What is run, until `stop`. Its output goes to files in a directory."""

    def __init__(self, directory, **more):
        self.directory, self.all = directory, []
        os.chmod(directory, 0o755)
        texts = {"up.conf": NGINX_UPSTREAM, "px.conf": NGINX_PROXY, "ha.conf": HAPROXY_PROXY, "sg.toml": SLUICEGATE_CONFIG}
        for name, text in texts.items():
            with open(f"{directory}/{name}", "w") as file:
                file.write(text.format(**names(directory, **more)))
        with open(f"{directory}/10k", "w") as file:
            file.write("x" * 10240)

    def start(self, command, cores, port):
        if is_listening(port):
            sys.exit(f"somebody else listens on port {port}")
        with open(f"{self.directory}/{os.path.basename(command[0])}.out", "ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, start_new_session=True,
                                       preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.all.append(process)
        wait_for(port)
        return process

    def start_upstream(self, cores=OTHER_CORES):
        return self.start([program("nginx"), "-p", self.directory, "-c", f"{self.directory}/up.conf"], cores, UPSTREAM)

    def start_proxy(self, name, cores=PROXY_CORE):
        command = {
            "haproxy": [program("haproxy"), "-f", f"{self.directory}/ha.conf"],
            "nginx": [program("nginx"), "-p", self.directory, "-c", f"{self.directory}/px.conf"],
            "sluicegate": [BINARY, "-c", f"{self.directory}/sg.toml"],
        }[name]
        return self.start(command, cores, PORTS[name])

    def start_bare(self):
        """hyper with nothing around it, on the core of the proxies."""
        build = ["cargo", "build", "--release", "--locked", "--bench", "bare", "--message-format=json"]
        said = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        messages = [json.loads(line) for line in said.splitlines()]
        binary = next(message["executable"] for message in messages if message.get("target", {}).get("name") == "bare")
        return self.start([binary, str(BARE)], PROXY_CORE, BARE)

    def stop(self, process=None):
        """Stops it, or everything."""
        stopping = [process] if process else self.all
        for each in stopping:
            try:
                # The whole group: nginx is two.
                os.killpg(each.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            each.wait()
        self.all = [each for each in self.all if each not in stopping]


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
    """KiB that a process and its children have in memory."""
    total = 0
    for member in family(pid):
        total += int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{member}/status").read()).group(1))
    return total


def versions():
    """The machine, without its name, and what runs on it."""
    def version(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).splitlines()[0].strip()
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    haproxy = re.search(r"version (\S+?)[-+ ]", version(program("haproxy"), "-v"))
    nginx = version(program("nginx"), "-v").rsplit("/", 1)[-1]
    return (f"{model.group(1) if model else 'unknown processor'}, {len(CORES)} cores, Linux {'.'.join(os.uname().release.split('.')[:2])}; "
            f"HAProxy {haproxy.group(1) if haproxy else '?'}, nginx {nginx}, {version(BINARY, '--version')}")
