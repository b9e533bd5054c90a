"""Writes target/hookbus.cdx.json: all that a hookbus binary is made of, as a CycloneDX document.

cargo-cyclonedx names the crates. The C libraries that some of them compile are added here: their versions stand behind
the `+` in the version of their crate.
"""

import json
import pathlib
import re
import subprocess

LIBRARIES = {
    "rdkafka-sys": ("librdkafka", "pkg:github/confluentinc/librdkafka@v{}", "BSD-2-Clause"),
    "openssl-src": ("openssl", "pkg:github/openssl/openssl@openssl-{}", "Apache-2.0"),
    "zstd-sys": ("zstd", "pkg:github/facebook/zstd@v{}", "BSD-3-Clause"),
    "tikv-jemalloc-sys": ("jemalloc", "pkg:github/jemalloc/jemalloc@{}", "BSD-2-Clause"),
}


def library(crate):
    """The C library that a crate compiles."""
    name, address, licence = LIBRARIES[crate["name"]]
    version = re.search(r"\+\D*(\d+(?:\.\d+)+)", crate["version"])
    if not version:
        raise SystemExit(
            f"sbom.py: {crate['name']} {crate['version']} doesn't say which {name} it holds\n"
            "hint: change LIBRARIES in deploy/tools/sbom.py"
        )
    address = address.format(version[1])
    return {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version[1],
        "licenses": [{"expression": licence}],
        "purl": address,
    }


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    written = root / "hookbus.cdx.json"  # the tool knows no other place
    command = [root / ".tools/bin/cargo-cyclonedx", "cyclonedx", "--quiet", "--format", "json"]
    command += ["--spec-version", "1.5", "--override-filename", "hookbus.cdx"]
    try:
        subprocess.run(command, cwd=root, check=True)
        document = json.loads(written.read_text())
    finally:
        written.unlink(missing_ok=True)

    # Where it was made is nobody's business.
    text = json.dumps(document).replace(f"path+file://{root}", "path+file:///hookbus")
    document = json.loads(text.replace(f"file://{root}", "file:///hookbus"))
    crates = {crate["name"]: crate for crate in document["components"]}
    missing = LIBRARIES.keys() - crates.keys()
    if missing:
        raise SystemExit(
            f"sbom.py: {', '.join(sorted(missing))} is no dependency any more\n"
            "hint: take it out of LIBRARIES in deploy/tools/sbom.py"
        )
    for name in LIBRARIES:
        found = library(crates[name])
        document["components"].append(found)
        uses = next(one for one in document["dependencies"] if one["ref"] == crates[name]["bom-ref"])
        uses.setdefault("dependsOn", []).append(found["bom-ref"])
        document["dependencies"].append({"ref": found["bom-ref"]})

    known = {part["bom-ref"] for part in document["components"]}
    known.add(document["metadata"]["component"]["bom-ref"])
    for one in document["dependencies"]:
        assert known.issuperset([one["ref"], *one.get("dependsOn", [])]), one
    target = root / "target/hookbus.cdx.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"target/hookbus.cdx.json: CycloneDX {document['specVersion']}, {len(known) - 1} components")


main()
