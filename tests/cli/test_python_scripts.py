"""Scripts in plain Python, as they lie in a folder: built by ``theater build``, run by ``theater run -- ARGUMENTS``.

What a person sees of them is what Python itself shows: each is run by Python as well, and the two are compared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND
from tests.guests.python import CACHE

pytestmark = pytest.mark.slow

PATIENCE_S = 300.0
PROJECTS = CACHE.parent / "scripts"
"""Built once, and kept until a script or what builds it changes."""

SCRIPT = '''
"""Sums up what people spent: CSV in, JSON out."""

import argparse
import collections
import csv
import json
import pathlib
import re
import sys


def total(args):
    with open(args.source, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    spent = collections.Counter()
    for row in rows:
        if not re.fullmatch(r"\\d+(\\.\\d\\d)?", row["amount"]):
            sys.exit(f"{args.source}: {row['amount']!r} is no amount")
        spent[row["name"]] += float(row["amount"])
    pathlib.Path(args.target).write_text(json.dumps(spent, sort_keys=True, indent=2) + "\\n")
    writer = csv.writer(sys.stdout, lineterminator="\\n")
    writer.writerow(["name", "total"])
    writer.writerows(sorted(spent.items()))


def check(args):
    try:
        found = json.loads(pathlib.Path(args.file).read_text())
    except FileNotFoundError:
        print(f"there is no {args.file}", file=sys.stderr)
        return 3
    except json.JSONDecodeError as error:
        print(f"line {error.lineno}: {error.msg}", file=sys.stderr)
        return 1
    print(len(found), "entries")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="spent", description=__doc__)
    commands = parser.add_subparsers(required=True)
    summing = commands.add_parser("total")
    summing.add_argument("source")
    summing.add_argument("target")
    summing.set_defaults(run=total)
    checking = commands.add_parser("check")
    checking.add_argument("file")
    checking.set_defaults(run=check)
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
'''

MANIFEST = """
name = "spent"
component = "build/spent.wasm"

[capabilities.filesystem]
read = ["data"]
write = ["out"]

[limits]
memory = "256MiB"
"""

PEOPLE = "name,amount\nAda,3.50\nGrace,4\nAda,1.25\n"


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


class Project:
    """A folder with the script, ``data`` and ``out``, and a node of its own."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.folder = folder
        self.environ = {
            "PATH": os.defpath,
            "HOME": str(data_dir),
            "THEATER_DATA_DIR": str(data_dir / "node"),
            "COLUMNS": "80",
        }

    def theater(self, *arguments: str) -> Ended:
        """Run ``theater ...`` there."""
        return self._ran(*COMMAND, *arguments)

    def script(self, *arguments: str) -> Ended:
        """Run the script by ``theater run``, without what is said of the actor."""
        ended = self.theater("run", ".", "--allow", "filesystem", "--", *arguments)
        said = [line for line in ended.err.splitlines() if not line.startswith(("grant  ", "id ", "head "))]
        return Ended(ended.code, ended.out, "\n".join(said))

    def python(self, *arguments: str) -> Ended:
        """Run the script by Python."""
        return self._ran(sys.executable, "main.py", *arguments)

    def _ran(self, *command: str) -> Ended:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = PROJECTS / "spent"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(SCRIPT)
    (folder / "theater.toml").write_text(MANIFEST)
    made = Project(folder, tmp_path_factory.mktemp("home"))
    built = made.theater("build")
    assert built.code == 0, built.err
    yield made
    for name in ("data", "out"):
        shutil.rmtree(folder / name, ignore_errors=True)


@pytest.fixture(autouse=True)
def _fresh(project: Project) -> None:
    for name in ("data", "out"):
        shutil.rmtree(project.folder / name, ignore_errors=True)
        (project.folder / name).mkdir()
    (project.folder / "data" / "people.csv").write_text(PEOPLE)


def test_a_script_reads_csv_and_writes_json_as_it_does_in_python(project: Project) -> None:
    arguments = ("total", "data/people.csv", "out/total.json")
    by_python = project.python(*arguments)
    written = (project.folder / "out" / "total.json").read_text()
    (project.folder / "out" / "total.json").unlink()

    by_theater = project.script(*arguments)

    assert by_theater == Ended(0, "name,total\nAda,4.75\nGrace,4.0\n", "")
    assert by_theater.out == by_python.out
    assert (project.folder / "out" / "total.json").read_text() == written == '{\n  "Ada": 4.75,\n  "Grace": 4.0\n}\n'


def test_a_script_that_finds_a_fault_exits_1_and_says_what_it_says_in_python(project: Project) -> None:
    (project.folder / "out" / "broken.json").write_text("\n{nothing}")

    ended = project.script("check", "out/broken.json")

    assert (ended.code, ended.out) == (1, "")
    assert project.python("check", "out/broken.json").code == 1
    assert ended.err.splitlines()[0] == "line 2: Expecting property name enclosed in double quotes"


def test_words_for_an_exit_are_printed_and_the_exit_is_1(project: Project) -> None:
    (project.folder / "data" / "people.csv").write_text("name,amount\nAda,much\n")

    arguments = ("total", "data/people.csv", "out/total.json")
    ended, by_python = project.script(*arguments), project.python(*arguments)

    assert ended.code == by_python.code == 1
    assert ended.err.splitlines()[0] == by_python.err.splitlines()[0] == "data/people.csv: 'much' is no amount"
    assert not (project.folder / "out" / "total.json").exists()


def test_any_status_but_0_is_1_and_the_number_is_said(project: Project) -> None:
    ended = project.script("check", "data/nothing.json")

    assert project.python("check", "data/nothing.json").code == 3
    assert ended.code == 1
    assert ended.err.splitlines()[0] == "there is no data/nothing.json"
    assert "the command exited with status 3" in ended.err


def test_help_is_that_of_the_script_and_wrong_usage_fails(project: Project) -> None:
    helped, wrong = project.script("--help"), project.script("total", "--nonsense")

    assert helped.code == 0
    assert helped.out.startswith("usage: spent [-h] {total,check} ...\n\nSums up what people spent")
    assert wrong.code == 1
    assert "the command exited with status 2" in wrong.err
    assert wrong.err.startswith("usage: spent total [-h] source target\n")


@pytest.mark.parametrize("path", ["/etc/passwd", "data/../main.py", "main.py"])
def test_a_file_that_was_not_granted_is_not_there(project: Project, path: str) -> None:
    ended = project.script("check", path)

    assert ended.code == 1
    assert "root:" not in ended.out + ended.err


def test_what_a_script_did_is_run_again_without_its_files(project: Project) -> None:
    done = project.theater(
        "run", ".", "--name", "again", "--allow", "filesystem", "--", "total", "data/people.csv", "out/total.json"
    )
    assert done.code == 0
    for name in ("data", "out"):
        shutil.rmtree(project.folder / name)

    assert project.theater("verify", "again").out.startswith("sound")
    assert not (project.folder / "out").exists()
