"""A node under load that is killed blindly, 200 times: what it promised and did not keep. Prints JSON.

Nothing should be lost, nothing done twice, no chain unsound. ``excused`` are messages whose step was interrupted by two
deaths of the process, which closes it: they are accounted for in the chain, as ``host-died``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.driver import Client
from tests.crash.ledger import Verdict
from tests.runtime.stage import Workshop
from tests.runtime.troupe import text_of

SHOWN_MAX = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the node is left to be looked at")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = killed(folder, kills=options.kills, seed=options.seed)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    json.dump({"benchmark": "kills", **machine, "results": results}, sys.stdout, indent=2)
    print()
    if not results["good"]:
        sys.exit(1)


def killed(folder: Path, *, kills: int, seed: int) -> dict[str, object]:
    workshop = Workshop(folder)
    component = workshop.file(text_of(handlers=("supervisor",)))
    client = Client(folder / "node", component=component, cache=workshop.cache, seed=seed)
    began = time.monotonic()
    verdict = client.run(kills)
    return {
        "seed": seed,
        "kills": client.kills,
        "kills in the middle of a start": client.early_kills,
        "acknowledged": verdict.acknowledged,
        "lost": len(verdict.lost),
        "twice": len(verdict.twice),
        "refused and done": len(verdict.refused_and_done),
        "out of order": len(verdict.out_of_order),
        "unsound or not running": len(verdict.faulty),
        "unknown tokens": len(verdict.strays),
        "with a key": len(client.keys.orders),
        "the same answer again": client.keys.repeated,
        "answered in two ways": len(verdict.unlike),
        "removed": len(client.removed),
        "excused": verdict.excused,
        "crashes": verdict.crashes,
        "events": verdict.events,
        "steps run again and compared": verdict.steps,
        "seconds": round(time.monotonic() - began, 1),
        "good": verdict.is_good,
        "shown": _shown(verdict)[:SHOWN_MAX],
    }


def _shown(verdict: Verdict) -> list[str]:
    return [
        *verdict.lost,
        *verdict.twice,
        *verdict.out_of_order,
        *verdict.strays,
        *verdict.faulty,
        *verdict.unlike,
    ]


if __name__ == "__main__":
    main()
