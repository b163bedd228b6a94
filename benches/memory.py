#!/usr/bin/env python3
"""Memory of sluicegate, HAProxy and nginx: idle, with idle connections, with requests that wait, with requests in flight.

    cargo build --release && python3 benches/memory.py [--connections 10000] [--requests 5000] [--only sluicegate]

What each takes is counted from a start without any, in a process of its own for each kind. nginx has no queue.
"""

import argparse
import socket
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import proxies  # noqa: E402, beside this file

# Until what was taken is in use, and until what was freed has been given back, which jemalloc does within ten seconds.
TAKEN, GIVEN_BACK = 1, 13


def ask(port, path):
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n" % path.encode())
    return client


def answered(port):
    client = ask(port, "/small")
    if not client.recv(4096).startswith(b"HTTP/1.1 200"):
        sys.exit(f"port {port} does not forward")
    return client


def until(what, condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    sys.exit(f"not so after 20 s: {what}")


def measure(processes, held, name, kind, n):
    """MiB without anything, KiB for each of n, MiB once they are gone."""
    process = processes.start_proxy(name)
    time.sleep(TAKEN)
    idle, port = proxies.resident(process.pid), proxies.PORTS[name]
    if kind == "idle connection":
        clients = [answered(port) for _ in range(n)]
        # A connection is known to be idle after a second.
        time.sleep(GIVEN_BACK)
    else:
        path = "/line" if kind == "waiting request" else "/inside"
        clients = [ask(port, path)]
        until("one inside", lambda: held.inside)
        clients += [ask(port, path) for _ in range(n - 1)]
        if path == "/inside":
            until(f"all inside {name}", lambda: len(held.inside) >= n)
        time.sleep(TAKEN)
    with_all = proxies.resident(process.pid)
    for client in clients:
        client.close()
    held.let_go()
    time.sleep(GIVEN_BACK)
    held.let_go()
    after = proxies.resident(process.pid)
    processes.stop(process)
    return idle / 1024, (with_all - idle) / n, after / 1024


def table(connections, requests, only=None):
    """All of it, as a table."""
    most = proxies.raise_open_files()
    if most < connections + 1000 or most < 2 * requests + 1000:
        sys.exit(f"{connections} connections need more open files than {most}")
    kinds = {"idle connection": connections, "waiting request": requests, "request in flight": requests}
    lines = ["| proxy | idle, MiB | " + " | ".join(f"KiB per {kind} ({n:,}) | MiB once they are gone" for kind, n in kinds.items()) + " |",
             "| --- |" + " --- |" * (1 + 2 * len(kinds))]
    with tempfile.TemporaryDirectory(prefix="sluicegate-memory-") as directory:
        processes, held = proxies.Processes(directory), proxies.Held()
        try:
            processes.start_upstream()
            for name in proxies.PORTS:
                if only not in (None, name):
                    continue
                cells, idle = [], 0
                for kind, n in kinds.items():
                    if name == "nginx" and kind == "waiting request":
                        cells += ["–", "–"]
                        continue
                    idle, each, after = measure(processes, held, name, kind, n)
                    cells += [f"{each:.1f}", f"{after:.1f}"]
                lines.append(f"| {name} | {idle:.1f} | " + " | ".join(cells) + " |")
        finally:
            processes.stop()
            held.close()
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--connections", type=int, default=10_000)
    arguments.add_argument("--requests", type=int, default=5_000)
    arguments.add_argument("--only", choices=proxies.PORTS)
    wanted = arguments.parse_args()
    proxies.install()
    print(table(wanted.connections, wanted.requests, wanted.only))


if __name__ == "__main__":
    main()
