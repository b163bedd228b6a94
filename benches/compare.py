#!/usr/bin/env python3
"""CPU for a request, latency and memory, beside HAProxy and nginx.

Each proxy runs on one core with the same limit and the same forwarding fields, and no access log unless the case says so. The
load and the upstream have the other cores (with more than one worker, the proxies have all). The proxies take turns in short windows, and ratios are taken within a round:
absolute times swing with the machine, ratios hardly. They are started anew several times, for one process has its memory where the caches are kinder to it than
another of the same program.

    cargo build --release && python3 benches/compare.py [--starts 3] [--rounds 3] [--seconds 3] [--only CASE ...] [--write]

Debian's packages are installed where they are missing and it may: haproxy nginx-light wrk nghttp2-client curl. With --write the
tables go into docs/benchmarks.md, too.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import memory  # noqa: E402, beside this file
import proxies  # noqa: E402

DOCS = f"{proxies.ROOT}/docs/benchmarks.md"
BEGIN, END = "<!-- written by benches/compare.py -->", "<!-- until here -->"
CLIENTS = 64
# What else there may be of both. More workers than cores show what their number alone takes.
WORKERS, CONNECTIONS = (1, 2, 8), (8, 64, 512)
# Of what HAProxy can do on its core.
PACE = 0.3
GIB = 1 << 30

CASES = {
    "small": {"title": "HTTP/1.1, 64 connections, 100-byte answers", "path": "/small"},
    "10k": {"title": "HTTP/1.1, 64 connections, 10 KiB answers", "path": "/10k"},
    "log": {"title": "The same with 100 bytes and an access log in a file", "path": "/small", "log": True},
    "rejections": {"title": "Rejections: one request held, nothing may wait", "path": "/held", "rejects": True},
    "h2c": {"title": "HTTP/2 in, HTTP/1.1 out, 8 connections of 8 streams", "path": "/small", "h2": True},
    "scale": {"title": "Workers and connections, 100-byte answers", "path": "/small", "measure": "scale"},
    "latency": {"title": "Latency at 30 % of what HAProxy can do, open loop", "path": "/small", "measure": "latency"},
    "download": {"title": "1 GiB through", "path": "/gib", "measure": "download"},
    "memory": {"title": "Memory", "measure": "memory"},
}


def on_other_cores(command):
    cores = ",".join(map(str, proxies.OTHER_CORES))
    return subprocess.run(["taskset", "-c", cores, *command], capture_output=True, text=True)


def load(case, port, seconds):
    """Runs as much load as goes; how many requests were answered."""
    url = f"http://127.0.0.1:{port}{case['path']}"
    if case.get("h2"):
        command = [proxies.program("h2load"), "-c8", "-m8", "-t1", f"-D{seconds}", "--warm-up-time=0", url]
        pattern = r"(\d+) done"
    else:
        command = [proxies.program("wrk"), "-t1", f"-c{case.get('clients', CLIENTS)}", f"-d{seconds}s", url]
        pattern = r"(\d+) requests in"
    done = on_other_cores(command)
    found = re.search(pattern, done.stdout)
    if not found or int(found.group(1)) == 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout) or re.search(r"([1-9]\d*) [45]xx", done.stdout)
    if bad and not case.get("rejects"):
        sys.exit(f"{url}: {bad.group(1)} answers were errors")
    return int(found.group(1))


def paced(path, port, rate, seconds, directory):
    """Runs so many requests a second; the times that their answers took, in order, in microseconds."""
    log = f"{directory}/times"
    if os.path.exists(log):
        os.remove(log)
    command = [proxies.program("h2load"), "--h1", f"-c{CLIENTS}", "-t1", f"-D{seconds}", "--warm-up-time=0",
               f"--rps={rate / CLIENTS:.2f}", f"--log-file={log}", f"http://127.0.0.1:{port}{path}"]
    done = on_other_cores(command)
    times = [line.split("\t") for line in open(log)]
    if done.returncode or any(status != "200" for _, status, _ in times):
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return sorted(int(took) for _, _, took in times)


def quantile(ordered, part):
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class Bench:
    """The upstream and the three proxies of one case."""

    def __init__(self, case, directory):
        self.case, self.directory = case, directory
        proxies.raise_open_files()
        self.processes = proxies.Processes(directory, h2=case.get("h2", False), log=case.get("log", False))
        with open(f"{directory}/gib", "wb") as file:
            file.truncate(GIB)
        self.held = proxies.Held()
        self.proxies = {}

    def __enter__(self):
        self.processes.start_upstream()
        self.proxies = {name: (port, self.processes.start_proxy(name)) for name, port in proxies.PORTS.items()}
        if self.case.get("rejects"):
            self.holding = [memory.ask(port, "/held") for port, _ in self.proxies.values()]
            memory.until("one inside of each", lambda: len(self.held.inside) == len(self.proxies))
            self.proxies["hyper alone"] = (proxies.BARE, self.processes.start_bare())
        return self

    def __exit__(self, *_):
        self.processes.stop()
        self.held.close()

    def residents(self):
        return {name: f"{proxies.resident(process.pid) / 1024:.1f}" for name, (_, process) in self.proxies.items()}

    def rates(self, rounds, seconds):
        return measured(self.case, self.proxies, rounds, seconds)

    def latency(self, rounds, seconds):
        """Of each, and without any, for each round: p50 and p99, and by how much they are over those without any, in microseconds."""
        rate = self.case.setdefault("rate", PACE * statistics.median(load(self.case, proxies.HAPROXY, 1) for _ in range(3)))
        ports = {"direct": proxies.UPSTREAM, **{name: port for name, (port, _) in self.proxies.items()}}
        rows = {name: [] for name in ports}
        for name, port in ports.items():
            paced(self.case["path"], port, rate, 1, self.directory)
        for _ in range(rounds):
            for name, port in ports.items():
                times = paced(self.case["path"], port, rate, seconds, self.directory)
                rows[name].append((quantile(times, 0.5), quantile(times, 0.99)))
        return {name: [(m, n, m - a, n - b) for (m, n), (a, b) in zip(rows[name], rows["direct"])] for name in ports}

    def download(self, rounds, _):
        """Of each proxy, for each round: seconds of CPU for a GiB, GiB a second, and user and system of the former."""
        rows = {name: [] for name in self.proxies}
        for turn in range(rounds + 1):
            for name, (port, process) in self.proxies.items():
                before, start = proxies.cpu(process.pid), time.monotonic()
                done = on_other_cores([proxies.program("curl"), "-sS", "-o", "/dev/null", "-w", "%{size_download}",
                                       f"http://127.0.0.1:{port}{self.case['path']}"])
                if done.stdout != str(GIB):
                    sys.exit(f"{name} has passed on {done.stdout} of {GIB} bytes: {done.stderr}")
                after, elapsed = proxies.cpu(process.pid), time.monotonic() - start
                user, system = (b - a for a, b in zip(before, after))
                if turn:  # The first is to warm up.
                    rows[name].append((user + system, 1 / elapsed, user, system))
        return rows


def measured(case, running, rounds, seconds):
    """Of each proxy, for each round: microseconds of CPU for a request, requests a second, and user and system of the former."""
    for port, _ in running.values():
        load(case, port, 1)
    rows = {name: [] for name in running}
    for _ in range(rounds):
        for name, (port, process) in running.items():
            before, start = proxies.cpu(process.pid), time.monotonic()
            answered = load(case, port, seconds)
            after, elapsed = proxies.cpu(process.pid), time.monotonic() - start
            user, system = (1e6 * (b - a) / answered for a, b in zip(before, after))
            rows[name].append((user + system, answered / elapsed, user, system))
    return rows


def ratio(rows, name, other):
    """The median of the ratios within each round."""
    ratios = [a[0] / b[0] for a, b in zip(rows[name], rows[other]) if b[0] > 0]
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


def scale(case, starts, rounds, seconds):
    """With more workers, on all cores but those of the upstream and the load, where there are others."""
    lines = ["CPU us/request.", "", "| workers | connections | haproxy | nginx | sluicegate | x HAProxy | x nginx |", "| --- |" + " --- |" * 6]
    for workers in WORKERS:
        gathered = {connections: {} for connections in CONNECTIONS}
        for _ in range(starts):
            with tempfile.TemporaryDirectory(prefix="sluicegate-compare-") as directory:
                processes = proxies.Processes(directory, workers=workers)
                try:
                    processes.start_upstream()
                    cores = proxies.PROXY_CORE if workers == 1 else set(proxies.CORES)
                    running = {name: (port, processes.start_proxy(name, cores)) for name, port in proxies.PORTS.items()}
                    for connections, rows in gathered.items():
                        extend(rows, measured({**case, "clients": connections}, running, rounds, seconds))
                finally:
                    processes.stop()
        for connections, rows in gathered.items():
            times = [f"{statistics.median(row[0] for row in windows):.1f}" for windows in rows.values()]
            ratios = [ratio(rows, "sluicegate", other) for other in ("haproxy", "nginx")]
            lines.append(f"| {' | '.join([str(workers), str(connections), *times, *ratios])} |")
    return "\n".join(lines)


def extend(rows, more):
    for name, windows in more.items():
        rows.setdefault(name, []).extend(windows)


def compared(rows, columns, formats, residents):
    """Medians, and the medians of the ratios within each round. What is compared comes first."""
    lines = [f"| proxy | {' | '.join(columns)} | x HAProxy | x nginx | MiB |", "| --- |" + " --- |" * (len(columns) + 3)]
    for name, windows in rows.items():
        values = [form.format(statistics.median(column)) for form, column in zip(formats, zip(*windows))]
        values += [ratio(rows, name, other) for other in ("haproxy", "nginx")]
        lines.append(f"| {name} | {' | '.join(values)} | {residents[name]} |")
    return "\n".join(lines)


def latencies(rows, rate):
    lines = [f"{rate:,.0f} requests/s on {CLIENTS} connections.", "",
             "| | p50, us | p99, us | p50 over direct | p99 over direct |", "| --- | --- | --- | --- | --- |"]
    for name, windows in rows.items():
        cells = [f"{statistics.median(column):.0f}" for column in zip(*windows)]
        lines.append(f"| {name} | {' | '.join(cells[:2] if name == 'direct' else cells)} |" + (" | |" if name == "direct" else ""))
    return "\n".join(lines)


def run(case, wanted):
    measure = case.get("measure", "rates")
    if measure == "memory":
        return memory.table(wanted.connections, wanted.requests)
    if measure == "scale":
        return scale(case, wanted.starts, wanted.rounds, wanted.seconds)
    rows, residents = {}, {}
    for _ in range(wanted.starts):
        with tempfile.TemporaryDirectory(prefix="sluicegate-compare-") as directory, Bench(case, directory) as bench:
            extend(rows, getattr(bench, measure)(wanted.rounds, wanted.seconds))
            residents = bench.residents()
    if measure == "latency":
        return latencies(rows, case["rate"])
    if measure == "download":
        return compared(rows, ["CPU s/GiB", "GiB/s", "user", "system"], ["{:.2f}"] * 4, residents)
    return compared(rows, ["CPU us/request", "requests/s", "user", "system"], ["{:.1f}", "{:,.0f}", "{:.1f}", "{:.1f}"], residents)


def write(tables):
    """Puts the tables in their place in the document."""
    text = open(DOCS).read()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    with open(DOCS, "w") as file:
        file.write(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--starts", type=int, default=3, help="of the proxies")
    arguments.add_argument("--rounds", type=int, default=3, help="after each start")
    arguments.add_argument("--seconds", type=int, default=3, help="of a window")
    arguments.add_argument("--connections", type=int, default=10_000, help="that idle, for their memory")
    arguments.add_argument("--requests", type=int, default=5_000, help="that wait or are in flight, for their memory")
    arguments.add_argument("--only", choices=CASES, nargs="+", default=list(CASES))
    arguments.add_argument("--write", action="store_true", help="the tables into docs/benchmarks.md, too")
    wanted = arguments.parse_args()
    proxies.install()
    parts = [f"{proxies.versions()}. Medians of {wanted.starts} times {wanted.rounds} rounds of {wanted.seconds} s."]
    print(parts[0], flush=True)
    for name in wanted.only:
        parts.append(f"### {CASES[name]['title']}\n\n{run(CASES[name], wanted)}")
        print(f"\n{parts[-1]}", flush=True)
    if wanted.write:
        write("\n\n".join(parts))


if __name__ == "__main__":
    main()
