#!/usr/bin/env python3
"""What is linked into the binary, as a CycloneDX 1.5 document, from what Cargo knows.

Normal dependencies of the target only: neither tests nor build scripts are in the binary. No times and no random
numbers, so that the same sources have the same document.

    python3 .ci/sbom.py --target x86_64-unknown-linux-gnu >sluicegate.cdx.json
"""

import argparse
import json
import subprocess
import tomllib


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums, kind="library"):
    found = {
        "type": kind,
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package["license"]:
        # Old crates write a slash for OR.
        found["licenses"] = [{"expression": package["license"].replace(" / ", " OR ").replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True)
    target = parser.parse_args().target
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    with open("Cargo.lock", "rb") as file:
        locked = tomllib.load(file)["package"]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in locked}

    def linked(node):
        kinds = lambda dependency: {kind["kind"] for kind in dependency["dep_kinds"]}
        is_macro = lambda id: any("proc-macro" in target["kind"] for target in packages[id]["targets"])
        return sorted(d["pkg"] for d in node["deps"] if None in kinds(d) and not is_macro(d["pkg"]))

    root = metadata["resolve"]["root"]
    seen, waiting = {root}, [root]
    while waiting:
        for id in linked(nodes[waiting.pop()]):
            if id not in seen:
                seen.add(id)
                waiting.append(id)
    others = sorted(seen - {root}, key=lambda id: purl(packages[id]))
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages[root], checksums, "application")},
        "components": [component(packages[id], checksums) for id in others],
        "dependencies": [
            {"ref": purl(packages[id]), "dependsOn": [purl(packages[other]) for other in linked(nodes[id])]}
            for id in [root, *others]
        ],
    }
    print(json.dumps(bom, indent=2))


main()
