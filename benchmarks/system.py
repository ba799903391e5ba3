"""How a whole node fares: many actors, many messages, guests that run wild, crashes by the dozen. Prints JSON.

    python benchmarks/system.py [NAME …] [--scale 0.1] [--repeat 3] [--profile NAME]

Each run of a measurement is a process and a folder of its own; the clock is the real one, durability is ``process``.
Of several runs the best and the median of each figure are given. What the measurements are: the docstrings of
the functions in ``MEASUREMENTS``. ``--profile`` runs one of them in this process, every thread under cProfile, which
makes it some times slower, and prints on stderr where the
processor's time went.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import multiprocessing
import os
import platform
import pstats
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.system_node import Figures
from benchmarks.system_population import children, idle, restart, spawn
from benchmarks.system_traffic import blocked, ring
from benchmarks.system_trouble import crowd, latency

MEASUREMENTS: dict[str, Callable[[Path, float], Awaitable[Figures]]] = {
    each.__name__: each for each in (spawn, children, idle, blocked, ring, latency, crowd, restart)
}
MORE_IS_BETTER = ("_per_s", "ratio_of_free", "stayed_in_memory")
TOP = 25


def run(name: str, scale: float) -> Figures:
    """One run of one measurement."""

    async def measured() -> Figures:
        return await MEASUREMENTS[name](Path(folder), scale)

    with tempfile.TemporaryDirectory(prefix="theater-system-") as folder:
        return asyncio.run(measured())


def repeated(name: str, scale: float, times: int) -> dict[str, object]:
    """Some runs, each in a process that nothing has run in yet."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawning, max_tasks_per_child=1) as pool:
        runs = [pool.submit(run, name, scale).result() for _ in range(times)]
    figures = {figure: [each[figure] for each in runs] for figure in runs[0]}
    return {
        "best": {figure: rounded(best(figure, values)) for figure, values in figures.items()},
        "median": {figure: rounded(statistics.median(values)) for figure, values in figures.items()},
    }


def best(figure: str, values: list[float]) -> float:
    return max(values) if figure.endswith(MORE_IS_BETTER) else min(values)


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


def profiled(name: str, scale: float) -> tuple[Figures, pstats.Stats]:
    """One run in this process, each of its threads profiled."""
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        """The first thing that a new thread calls: from here on the profile is what it calls."""
        profile = cProfile.Profile(time.thread_time)  # a thread that waits costs nothing
        profiles.append(profile)
        profile.enable()

    threading.setprofile(begin)
    begin()
    try:
        figures = run(name, scale)
    finally:
        threading.setprofile(None)
        profiles[0].disable()
    stats = pstats.Stats(profiles[0], stream=sys.stderr)
    for profile in profiles[1:]:
        stats.add(profile)
    return figures, stats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)} (default: all)")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the actors and messages (default: 1)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each measurement (default: 1)")
    parser.add_argument("--profile", metavar="NAME", choices=MEASUREMENTS, help="run this one under the profiler")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - MEASUREMENTS.keys()
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    if arguments.profile and sys.version_info >= (3, 12):
        parser.error("--profile needs CPython 3.11: later ones profile one thread at a time")
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "scale": arguments.scale}
    results: dict[str, object] = {}
    if arguments.profile:
        figures, stats = profiled(arguments.profile, arguments.scale)
        results[arguments.profile] = {figure: rounded(value) for figure, value in figures.items()}
        stats.sort_stats("tottime").print_stats(TOP)
        stats.sort_stats("cumulative").print_stats(TOP)
    else:
        for name in arguments.names or MEASUREMENTS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            results[name] = repeated(name, arguments.scale, arguments.repeat)
    json.dump({"benchmark": "system", **machine, "repeat": arguments.repeat, **results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
