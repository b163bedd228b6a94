#!/usr/bin/env python3
"""User instructions for a request, as callgrind counts them: the same on every machine, busy or not.

One worker, everything on but the access log; what starting and stopping take is in both of two runs
and so falls out of their difference.

    cargo build --release && python3 benches/instructions.py [--at-most forwarded=50000 rejected=20000] [--where]

With --where also whose code it is, from one more run, in which what starting and stopping take is left out as far as names tell.
Debian's packages: nginx-light nghttp2-client valgrind. Ends with 1 if a case takes more than it may.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import memory  # noqa: E402, beside this file
import proxies  # noqa: E402

FEW, MANY = 1_000, 6_000
CASES = {"forwarded": "/small", "rejected": "/held"}
# Whose code a function is: the first of these that its name has in it. What is left is the standard library.
OWNERS = ["sluicegate", "hyper", "httparse", "h2", "http", "tokio", "_rjem", "memcpy", "bytes", "memchr"]
SHOWN = {"_rjem": "jemalloc", "memcpy": "copying", "http": "http (fields)", "memchr": "memchr (searching)"}
# Of a process that serves nothing.
ONCE = re.compile(r"clap|toml|serde|sluicegate::(cli|config|admin)|core::fmt|ld-linux|_dl_|arena_|ecache")


def instructions(processes, held, path, requests, config="sg.toml"):
    """What a process takes that answers so many requests, its start and end included."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={processes.directory}/out", proxies.BINARY]
    proxy = subprocess.Popen([*command, "-c", f"{processes.directory}/{config}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    proxies.wait_for(proxies.SLUICEGATE)
    holding = None
    if path == "/held":
        holding = memory.ask(proxies.SLUICEGATE, path)
        memory.until("one inside", lambda: held.inside)
    url = f"http://127.0.0.1:{proxies.SLUICEGATE}{path}"
    load = subprocess.run(["h2load", "--h1", f"-n{requests}", "-c8", "-t1", url], capture_output=True, text=True)
    if f"{requests} done" not in load.stdout or " 0 errored" not in load.stdout:
        sys.exit(f"{url}: {load.stdout}{load.stderr}")
    if holding:
        holding.close()
        held.let_go()
    proxy.send_signal(signal.SIGTERM)
    _, said = proxy.communicate(timeout=60)
    return int(re.search(r"Collected : (\d+)", said).group(1))


def shares(processes, requests):
    """Whose code takes how much of one of so many requests, the most first."""
    listing = subprocess.run(["callgrind_annotate", "--threshold=100", f"{processes.directory}/out"], capture_output=True, text=True).stdout
    each = {}
    for line in listing.splitlines():
        found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(?:\S*?:)(?!:)(.*?)(?: \[|$)", line)
        if found and not ONCE.search(found[2]):
            owner = next((owner for owner in OWNERS if re.search(rf"(?<![a-z]){owner}", found[2])), "standard library")
            each[owner] = each.get(owner, 0) + int(found[1].replace(",", "")) / requests
    return sorted(((round(count), SHOWN.get(owner, owner)) for owner, count in each.items()), reverse=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--at-most", nargs="*", default=[], metavar="CASE=NUMBER")
    arguments.add_argument("--where", action="store_true", help="whose code it is, too")
    wanted = arguments.parse_args()
    bounds = dict(bound.split("=") for bound in wanted.at_most)
    exceeded = False
    with tempfile.TemporaryDirectory(prefix="sluicegate-instructions-") as directory:
        processes, held = proxies.Processes(directory), proxies.Held()
        try:
            processes.start_upstream(set(proxies.CORES))
            for case, path in CASES.items():
                few, many = (instructions(processes, held, path, requests) for requests in (FEW, MANY))
                each = round((many - few) / (MANY - FEW))
                bound = bounds.get(case)
                print(f"{case}: {each:,} instructions for a request" + (f", at most {int(bound):,} wanted" if bound else ""), flush=True)
                exceeded |= bound is not None and each > int(bound)
                if wanted.where:
                    print("    " + ", ".join(f"{owner} {count:,}" for count, owner in shares(processes, MANY) if count >= 50), flush=True)
        finally:
            processes.stop()
            held.close()
    sys.exit(1 if exceeded else 0)


if __name__ == "__main__":
    main()
