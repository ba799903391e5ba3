"""A team of actors that heals itself, told as a story: `.venv/bin/python examples/agent-team/run.py`.

Builds the coordinator and its workers, hurts one of the workers in every way it knows, and shows the tree after each.
Then the `theater` command looks at what is left in the data directory: the history around a crash, the state as of
before it, and whether every chain verifies. Nothing is left behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import theater
from theater.errors import NotRunning

TEAM = Path(__file__).parent
THEATER = Path(sys.executable).with_name("theater")
ROLES = ("counter", "sorter", "joker")
TEXT = "the quick brown fox jumps over the lazy dog"
FLOODS_MAX = 20

Say = Callable[[str], None]


async def story(runtime: theater.Runtime, folder: Path, say: Say = print) -> None:
    """Start the team whose components were built in ``folder``, and let one of it misbehave in every way it knows."""
    say("\n1. A coordinator is started. Its init spawns three workers, all from one component.")
    components = (folder / name / "build" / f"{name}.wasm" for name in ("worker", "coordinator"))
    digest, _ = await asyncio.gather(*(runtime.put_component(each) for each in components))  # compiled side by side
    coordinator = await runtime.spawn(folder / "coordinator", settings={"WORKER": f"sha256:{digest}"})
    team = Team(runtime, coordinator, say)
    await team.everybody_works()
    team.show()

    say("\n2. The joker crashes. It is restarted from its last committed state: what it has done before is not lost.")
    await team.request({"to": "joker", "do": "crash"})
    await team.joker_works()
    team.show()

    say("\n3. It loops for ever. Its fuel runs out, and it is restarted.")
    await team.request({"to": "joker", "do": "loop"})
    await team.joker_works()
    team.show()

    say("\n4. It refuses. That is an answer and no failure: whoever asked hears why, and nothing is restarted.")
    await team.request({"ask": "joker", "do": "refuse"})
    team.show()

    say("\n5. It leaves. It ended well, so the coordinator gets a new one: its state is that of a fresh init.")
    await team.request({"to": "joker", "do": "leave"})
    await team.joker_works()
    team.show()

    say("\n6. It answers far too much. This is one restart too many: the manifest allows 3 in 10 s.")
    say("   The coordinator gives up, stops its other workers and ends. Nobody is left in a state that nobody knows.")
    await team.flood()
    team.show()

    say(
        "\n7. A person looks at it, and restarts the coordinator. All of the team comes back, each from its last state."
    )
    await coordinator.restart()
    await team.everybody_works()
    team.show()

    say("\n8. The coordinator has kept a log of every end it heard of:")
    report = await coordinator.request("report")
    assert isinstance(report, dict)
    for end in report["exits"]:
        say(f"   {json.dumps(end)}")


class Team:
    """The team, seen from outside."""

    def __init__(self, runtime: theater.Runtime, coordinator: theater.ActorRef, say: Say) -> None:
        self._runtime = runtime
        self._coordinator = coordinator
        self._say = say

    async def request(self, body: dict[str, str]) -> object:
        """Give the coordinator a task, and show what it answers."""
        reply = await self._coordinator.request(body, timeout_s=30)
        self._say(f"   {json.dumps(body)}\n     -> {json.dumps(reply)}")
        return reply

    async def everybody_works(self) -> None:
        """A task for each."""
        for role in ROLES:
            await self.request({"to": role, "do": "work", "text": TEXT})

    async def joker_works(self) -> None:
        """A task that shows whether it is back."""
        await self.request({"to": "joker", "do": "work", "text": "evil"})

    async def flood(self) -> None:
        """Go on until the coordinator has had enough, which is at once unless this machine is very slow."""
        for _ in range(FLOODS_MAX):
            try:
                await self.request({"to": "joker", "do": "flood"})
            except NotRunning as error:
                self._say(f'   {{"to": "joker", "do": "flood"}}\n     -> {error}')
                return
        raise AssertionError("the coordinator should have given up")

    def show(self) -> None:
        """Show the tree: who runs, how often each was restarted, and its state."""
        for record in self._runtime.store.records():
            now = self._runtime.record(record.id) or record
            restarts = sum(event.header.name == "restarted" for event in self._runtime.store.events(record.id))
            held = self._runtime.find(record.id)
            state = "" if record.parent is None or held is None else held.state[1]
            name = record.name if record.parent is None else f"+- {record.name}"
            self._say(f"   | {name:<12} {now.status:<8} restarted {restarts}x  {state}".rstrip())


def look(data_dir: Path) -> None:
    """What anybody can see afterwards, with nothing but the data directory."""
    print("\n9. The joker's history is all there. Around its crash:")
    crash = json.loads(_theater(data_dir, "events", "joker", "--kind", "crashed", "--json", quietly=True))[0]["seq"]
    _theater(data_dir, "events", "joker", "--from", str(crash - 3), "--limit", "5")
    print("   Its state just before, and after all that came later:")
    _theater(data_dir, "state", "joker", "--at", str(crash - 1))
    _theater(data_dir, "state", "joker")
    print("\n10. Every step of everybody is run again, and comes out the same:")
    for name in ("coordinator", *ROLES):
        _theater(data_dir, "verify", name, lines=1)


def _theater(data_dir: Path, *arguments: str, quietly: bool = False, lines: int = 20) -> str:
    environment = os.environ | {"THEATER_DATA_DIR": str(data_dir), "COLUMNS": "120"}
    done = subprocess.run([THEATER, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    if not quietly:
        print(f"   $ theater {' '.join(arguments)}")
        for line in done.stdout.splitlines()[:lines]:
            print(f"     {line}")
    return done.stdout


def build(folder: Path) -> None:
    """Build both components, unless nothing has changed."""
    for name in ("coordinator", "worker"):
        subprocess.run([THEATER, "build", folder / name], check=True)


async def _played(data_dir: Path) -> None:
    async with theater.Runtime(data_dir=data_dir) as runtime:
        await story(runtime, TEAM)


def main() -> None:
    build(TEAM)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="theater-team-") as folder:
        asyncio.run(_played(Path(folder)))
        look(Path(folder))
    print(f"\nThat took {time.monotonic() - started:.0f} s, and left nothing behind.")


if __name__ == "__main__":
    main()
