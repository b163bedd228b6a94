#!/usr/bin/env python3
"""User instructions for a request, as callgrind counts them: the same on every machine, busy or not.

One worker, everything on but the access log and the admin listener; what starting and stopping take is in both of two runs
and so falls out of their difference.

    cargo build --release && python3 benches/instructions.py [--at-most forwarded=50000 rejected=20000]

Debian's packages: nginx-light nghttp2-client valgrind. Ends with 1 if a case takes more than it may.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import compare  # noqa: E402, beside this file

FEW, MANY = 1_000, 6_000
CASES = {"forwarded": "/small", "rejected": "/held"}


def instructions(directory, path, requests, config="sg.toml"):
    """What a process takes that answers so many requests, its start and end included."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", f"{compare.ROOT}/target/release/sluicegate"]
    proxy = subprocess.Popen([*command, "-c", f"{directory}/{config}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    compare.wait_for(compare.SLUICEGATE)
    holding = compare.hold(compare.SLUICEGATE) if path == "/held" else None
    url = f"http://127.0.0.1:{compare.SLUICEGATE}{path}"
    load = subprocess.run(["h2load", "--h1", f"-n{requests}", "-c8", "-t1", url], capture_output=True, text=True)
    if f"{requests} done" not in load.stdout or " 0 errored" not in load.stdout:
        sys.exit(f"{url}: {load.stdout}{load.stderr}")
    if holding:
        holding.close()
    proxy.send_signal(signal.SIGTERM)
    _, said = proxy.communicate(timeout=60)
    return int(re.search(r"Collected : (\d+)", said).group(1))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--at-most", nargs="*", default=[], metavar="CASE=NUMBER")
    bounds = dict(bound.split("=") for bound in arguments.parse_args().at_most)
    processes, exceeded = compare.Processes(), False
    with tempfile.TemporaryDirectory(prefix="sluicegate-instructions-") as directory:
        os.chmod(directory, 0o755)
        for name, text in {"up.conf": compare.NGINX_UPSTREAM, "sg.toml": compare.SLUICEGATE_CONFIG}.items():
            with open(os.path.join(directory, name), "w") as file:
                file.write(text.format(**compare.names(dir=directory)))
        held = compare.socket.create_server(("127.0.0.1", compare.HOLD), backlog=16)
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        try:
            processes.start([nginx, "-p", directory, "-c", f"{directory}/up.conf"], set(compare.CORES), compare.UPSTREAM)
            for case, path in CASES.items():
                few, many = (instructions(directory, path, requests) for requests in (FEW, MANY))
                each = round((many - few) / (MANY - FEW))
                bound = bounds.get(case)
                print(f"{case}: {each:,} instructions for a request" + (f", at most {int(bound):,} wanted" if bound else ""))
                exceeded |= bound is not None and each > int(bound)
        finally:
            processes.stop()
            held.close()
    sys.exit(1 if exceeded else 0)


if __name__ == "__main__":
    main()
