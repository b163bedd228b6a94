#!/usr/bin/env python3
"""What metrics and the access log cost a request: CPU of the process with both on, less that with both off.

One worker each, two at once on one core, each with a load of its own; the loads and the upstream have the others. So both have
the same moments of a machine whose speed swings: taken one after the other, two windows of the same program differ by several times
what is looked for here. They also share the caches, which makes either dearer than it is alone. What is shown is the median of the
differences; first what it comes to between two that both have nothing on, which should be nothing. `--instructions` counts user
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
import threading

sys.dont_write_bytecode = True
import compare  # noqa: E402, beside this file
import instructions  # noqa: E402
import proxies  # noqa: E402

# None of those of a comparison, which may run beside it.
proxies.UPSTREAM, proxies.SLUICEGATE = 18084, 18085
OFF = proxies.SLUICEGATE
# What is observed: where the access log goes, and where the admin listener is, without which nothing is counted.
SETUPS = {
    "off": ("false", '"off"'),
    "also off": ("false", '"off"'),
    "metrics": ("false", '"127.0.0.1:18081"'),
    "nowhere": ('"/dev/null"', '"127.0.0.1:18082"'),
    "both": ('"{dir}/access.log"', '"127.0.0.1:18083"'),
}
WHAT = {
    "also off": "nothing at all",
    "metrics": "metrics",
    "nowhere": "metrics, and an access log that is thrown away",
    "both": "metrics and access log",
}


def configure(setup, port, directory):
    """Writes a configuration as it is compared elsewhere, but for what is observed. Its name."""
    access, admin = SETUPS[setup]
    setup_file = setup.replace(" ", "-")
    names = {**proxies.names(directory), "sluicegate_log": access.format(dir=directory), "SLUICEGATE": port, "admin": admin}
    with open(f"{directory}/{setup_file}.toml", "w") as file:
        file.write(proxies.SLUICEGATE_CONFIG.format(**names))
    return f"{setup_file}.toml"


def cost(process, port, seconds):
    """Microseconds of CPU for a request, in user mode and in the kernel."""
    before = proxies.cpu(process.pid)
    answered = compare.load(compare.CASES["small"], port, seconds)
    return [1e6 * (now - then) / answered for then, now in zip(before, proxies.cpu(process.pid))]


def together(processes, ports, seconds):
    """What a request costs each of them while all have load."""
    costs = {}
    loads = [threading.Thread(target=lambda setup=setup: costs.update({setup: cost(processes[setup], ports[setup], seconds)})) for setup in ports]
    for load in loads:
        load.start()
    for load in loads:
        load.join()
    return costs


def windows(processes, pairs, seconds):
    ports = {setup: OFF + at for at, setup in enumerate(SETUPS)}
    running = {}
    for setup, port in ports.items():
        name = configure(setup, port, processes.directory)
        running[setup] = processes.start([proxies.BINARY, "-c", f"{processes.directory}/{name}"], proxies.PROXY_CORE, port)
        compare.load(compare.CASES["small"], port, 1)
    medians = {}
    for other, what in WHAT.items():
        differences = []
        for pair in range(pairs):
            # Who begins takes turns, too.
            order = [other, "off"] if pair % 2 else ["off", other]
            costs = together(running, {setup: ports[setup] for setup in order}, seconds)
            user, system = (on - off for off, on in zip(costs["off"], costs[other]))
            differences.append((user + system, user, system))
            print(f"off {sum(costs['off']):.2f} us, {other} {sum(costs[other]):.2f} us: {user:.2f} user, {system:.2f} system", flush=True)
            # It would grow by some hundred bytes for each request.
            os.truncate(f"{processes.directory}/access.log", 0)
        medians[other], user, system = (statistics.median(column) for column in zip(*differences))
        print(f"{what}: {medians[other]:.2f} us of CPU for a request, the median of {pairs} pairs; by themselves {user:.2f} user, {system:.2f} system")
    return medians["both"]


def counted(processes):
    few, many = instructions.FEW, instructions.MANY
    each = {}
    for setup in SETUPS:
        if setup == "also off":
            continue
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
