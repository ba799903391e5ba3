"""What a plain Python script does once it is a component."""

import pytest

from tests.build.sandbox import Sandbox
from tests.guests.python import python_command

pytestmark = pytest.mark.slow

SOURCE = """
import argparse
import sys

print("only when it runs")
parser = argparse.ArgumentParser(description="greets")
parser.add_argument("who", nargs="?", default="world")
who = parser.parse_args().who
print("hello", who, __name__)
if who == "exit":
    sys.exit(3)
if who == "words":
    sys.exit("in words")
if who == "raise":
    {}["missing"]
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox(python_command(SOURCE), tmp_path_factory.mktemp("sandbox"))


def test_a_script_runs_with_its_arguments_when_it_is_run(command: Sandbox) -> None:
    ended = command.run("Theater")

    assert ended.stdout == "only when it runs\nhello Theater __main__\n"
    assert ended.exit_ok is True
    assert not [name for name in command.imports if name.startswith("theater:")]


def test_help_is_printed_and_wrong_usage_fails(command: Sandbox) -> None:
    assert "usage: main.py [-h] [who]" in command.run("--help").stdout
    assert command.run("--help").exit_ok is True
    wrong = command.run("--nonsense")
    assert (wrong.exit_ok, wrong.exit_status) == (False, 2)


@pytest.mark.parametrize(
    ("who", "stderr"),
    [("exit", ""), ("words", "in words\n"), ("raise", "KeyError: 'missing'\n")],
)
def test_a_status_that_is_not_0_is_a_failure(command: Sandbox, who: str, stderr: str) -> None:
    ended = command.run(who)

    assert ended.exit_ok is False
    assert ended.stderr.endswith(stderr)
