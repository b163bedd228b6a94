#!/usr/bin/env python3
"""What metrics and the access log cost a request: CPU of the process with both on, less that with both off.

One worker each, on one core; the load and the upstream have the others. The two take turns in short windows, and what is
shown is the median of the differences within pairs: absolute times swing with the machine. `--instructions` counts user
instructions instead, which are the same on every machine, busy or not, and know nothing of the kernel.

    cargo build --release && python3 benches/observe.py [--pairs 15] [--seconds 2] [--instructions] [--at-most 1.5]

Debian's packages: nginx-light wrk; with --instructions also nghttp2-client valgrind. Ends with 1 if it costs more than it
may, in microseconds or instructions.
"""

import argparse
import os
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
import compare  # noqa: E402, beside this file
import instructions  # noqa: E402
import proxies  # noqa: E402

# None of those of a comparison, which may run beside it.
proxies.UPSTREAM, proxies.SLUICEGATE = 18087, 18085
OFF, ON, ADMIN = 18085, 18086, 18084
SETUPS = {
    "off": ("false", '"off"'),
    "metrics": ("false", f'"127.0.0.1:{ADMIN}"'),
    "both": ('"{dir}/access.log"', f'"127.0.0.1:{ADMIN}"'),
}


def configure(setup, port, directory):
    """Writes a configuration as it is compared elsewhere, but for what is observed. Its name."""
    access, admin = SETUPS[setup]
    names = {**proxies.names(directory), "sluicegate_log": access.format(dir=directory), "SLUICEGATE": port, "admin": admin}
    with open(f"{directory}/{setup}.toml", "w") as file:
        file.write(proxies.SLUICEGATE_CONFIG.format(**names))
    return f"{setup}.toml"


def cost(process, port, seconds):
    """Microseconds of CPU for a request, in user mode and in the kernel."""
    before = proxies.cpu(process.pid)
    answered = compare.load(compare.CASES["small"], port, seconds)
    return [1e6 * (now - then) / answered for then, now in zip(before, proxies.cpu(process.pid))]


def windows(processes, pairs, seconds):
    ports = {"off": OFF, "both": ON}
    running = {}
    for setup, port in ports.items():
        name = configure(setup, port, processes.directory)
        running[setup] = processes.start([proxies.BINARY, "-c", f"{processes.directory}/{name}"], proxies.PROXY_CORE, port)
        compare.load(compare.CASES["small"], port, 1)
    differences = []
    for pair in range(pairs):
        # Who goes first takes turns as well: a machine that grows slower would be on one side.
        order = list(ports) if pair % 2 == 0 else list(ports)[::-1]
        costs = {setup: cost(running[setup], ports[setup], seconds) for setup in order}
        user, system = (on - off for off, on in zip(costs["off"], costs["both"]))
        differences.append((user + system, user, system))
        off, on = sum(costs["off"]), sum(costs["both"])
        print(f"off {off:.2f} us, on {on:.2f} us, difference {on - off:.2f} us: {user:.2f} user, {system:.2f} system", flush=True)
        # It would grow by some hundred bytes for each request.
        os.truncate(f"{processes.directory}/access.log", 0)
    median, user, system = (statistics.median(column) for column in zip(*differences))
    print(f"metrics and access log: {median:.2f} us of CPU for a request, the median of {pairs} pairs; by themselves {user:.2f} user, {system:.2f} system")
    return median


def counted(processes):
    few, many = instructions.FEW, instructions.MANY
    each = {}
    for setup in SETUPS:
        name = configure(setup, OFF, processes.directory)
        runs = [instructions.instructions(processes, None, "/small", requests, name) for requests in (few, many)]
        each[setup] = round((runs[1] - runs[0]) / (many - few))
    metrics, both = each["metrics"] - each["off"], each["both"] - each["off"]
    print(f"off {each['off']:,} instructions for a request; metrics {metrics:,} more, both {both:,} more")
    return both


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pairs", type=int, default=15)
    arguments.add_argument("--seconds", type=int, default=2)
    arguments.add_argument("--instructions", action="store_true")
    arguments.add_argument("--at-most", type=float)
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluicegate-observe-") as directory:
        processes = proxies.Processes(directory)
        try:
            processes.start_upstream()
            measured = counted(processes) if wanted.instructions else windows(processes, wanted.pairs, wanted.seconds)
        finally:
            processes.stop()
    sys.exit(1 if wanted.at_most is not None and measured > wanted.at_most else 0)


if __name__ == "__main__":
    main()
