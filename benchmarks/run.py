"""Runs every benchmark and prints one JSON document. ``make bench`` calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = ("marshalling.py", "suspended_steps.py", "append.py", "steps.py", "http_load.py")


def main() -> None:
    results = {}
    for script in SCRIPTS:
        print(f"{script} ...", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, str(HERE / script)],
            cwd=HERE.parent,
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(HERE.parent), "PATH": "/usr/bin:/bin"},
        )
        if done.returncode != 0:
            sys.exit(f"{script} failed:\n{done.stderr}")
        results[script.removesuffix(".py")] = json.loads(done.stdout)
    json.dump(results, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
