"""Looks at what the examples depend on: each has a lock file, and in npm's every licence is one of those in deny.toml."""

import json
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What an example is built from, and what pins it. Maven has no lock file: its versions are exact.
LOCKS = {
    "Cargo.toml": "Cargo.lock",
    "go.mod": "go.sum",
    "package.json": "package-lock.json",
    "requirements.in": "requirements.txt",
    "pom.xml": "pom.xml",
}
# Those of the crates, and one more that asks for nothing.
allowed = {"Unlicense", *tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"]}
problems = []
examples = sorted(path.parent for path in ROOT.glob("examples/*/*/README.md"))
for example in examples:
    for source, lock in LOCKS.items():
        if (example / source).exists() and not (example / lock).exists():
            problems.append(f"{example.relative_to(ROOT)}: {source} without {lock}")
    lock = example / "package-lock.json"
    if not lock.exists():
        continue
    for name, package in json.loads(lock.read_text())["packages"].items():
        # The first one is the example itself. `A OR B`: one of them has to be allowed.
        licences = package.get("license", "none").strip("()").split(" OR ")
        if name and not allowed.intersection(licences):
            problems.append(f"{lock.relative_to(ROOT)}: {name} has the licence {' OR '.join(licences)}")
for problem in problems:
    print(f"licences.py: {problem}", file=sys.stderr)
if problems:
    print("hint: pin it, use another one, or add its licence to deny.toml", file=sys.stderr)
    sys.exit(1)
print(f"licences.py: {len(examples)} examples")
