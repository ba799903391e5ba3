"""The commands of README's quick start and of the guide to the server, run as they stand there.

The project is README's own, but of component text, so that it is built at once. A command that cannot be run here is
named below, with the reason; one that is left over there fails a test as well.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo import forge
from tests.guests import wat
from tests.server.process import RunningServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guides" / "server.md").read_text(encoding="utf-8")
PATIENCE_S = 120.0
MANIFEST = 'name = "my-actor"\ncomponent = "build/my-actor.wasm"\nparams = { start = 0 }\n'

BY_THE_TEST = {
    "theater create my-actor": "the project is made of component text, since building Python takes long",
    "cd my-actor": "every command is run there",
    "cat actor.py": "the source is another",
    "theater server": "the test starts it, on a free port, with a data directory of its own",
    "kill -9 27881": "the test kills the server, whose number is another",
}
LIVE = ("theater start theater.toml --id-only | theater subscribe -", "curl -sN ")
"""They do not end by themselves: they are interrupted when they have said what the page shows."""

IN_VAIN = ("theater verify forged.jsonl",)
"""They exit 1: that is what they are there to show."""

NOT_HERE = {
    "theater server --host 0.0.0.0 --tls-cert": "nobody else shall reach a test's server",
    "theater server --insecure-behind-proxy": "likewise",
}


def commands(page: str) -> list[str]:
    """What stands behind the prompts of a page, without the remarks behind it."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.findall(r"^\$ (.*)", block, re.MULTILINE)]
    return [re.sub(r"\s{2,}# .*", "", line) for line in lines]


def outputs(page: str, command: str) -> str:
    """What the page shows behind a command."""
    _, found, rest = page.partition(f"$ {command}")
    assert found
    return re.split(r"^(?:\$ |```)", rest.partition("\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


class Desk:
    """A home with a server, a project, and a shell in it."""

    def __init__(self, home: Path) -> None:
        self.project = home / "my-actor"
        self.project.mkdir()
        (self.project / "theater.toml").write_text(MANIFEST)
        (self.project / "actor.wat").write_text(wat.COUNTER)
        (home / "bin").mkdir()
        command = f"#!{sys.executable}\nimport sys\nfrom theater.cli.main import main\nsys.exit(main())\n"
        (home / "bin" / "theater").write_text(command)
        (home / "bin" / "theater").chmod(0o755)
        self.server = RunningServer(home, data_dir=home / ".local" / "share" / "theater")

    @property
    def environ(self) -> dict[str, str]:
        """Of somebody who has set nothing but what the pages say."""
        given = {name: value for name, value in self.server.environ.items() if name != "THEATER_DATA_DIR"}
        bin_folder = self.server.folder / "bin"
        return {
            **given,
            "PATH": f"{bin_folder}{os.pathsep}{given['PATH']}",
            "TOKEN": self.server.token,
            "URL": self.server.url,
        }

    def run(self, line: str) -> str:
        """What a line says, stderr included; it has to end as the page says that it does."""
        line = line.replace("http://127.0.0.1:2823", self.server.url).replace("/tmp/theater-backup", "backup")
        process = subprocess.Popen(
            ["bash", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.project,
            env=self.environ,
            start_new_session=True,
        )
        try:
            if line.startswith(LIVE):
                return self._until_interrupted(process)
            said, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        assert process.returncode == (1 if line.startswith(IN_VAIN) else 0), f"{line}\n{said}"
        return said

    def _until_interrupted(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if re.match(r"\s+3  .*  state  |data: ", line):
                os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE_S)
        process.stdout.close()
        return said


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with made.server:
        yield made


def shape(text: str) -> list[str]:
    """What does not differ from time to time: the words, without ids, hashes, times, sizes and numbers of fuel."""
    text = re.sub(r"^.*\.wasm  sha256", "sha256", text, flags=re.MULTILINE)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9a-f]{12,}|\"fuel\":\d+|built in .*", "~", text)
    text = re.sub(r"reply \{\"count\":\d+\}  ", "", text)  # the actor of component text replies to whom nobody listens
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() not in ("", ":")]


@pytest.mark.slow
def test_the_quick_start_does_what_it_shows(desk: Desk) -> None:
    done: list[str] = []
    for line in commands(README):
        if line in BY_THE_TEST:
            if line.startswith("kill "):
                desk.server.kill()
                desk.server.start()
            continue
        if line.startswith("theater verify forged.jsonl"):
            desk.run("theater export my-actor -o chain.jsonl")
            forge(desk.project / "chain.jsonl", desk.project / "forged.jsonl")
        if " --head " in line:
            head = re.findall(r"head ([0-9a-f]{64})", done[-1])[0]
            line = re.sub(r"--head \w+", f"--head {head}", line)  # noqa: PLW2901 - the page's is another chain's
        if line.startswith("TOKEN="):
            continue  # it is in the environment
        said = desk.run(line)
        done.append(said)
        shown = outputs(README, line.partition(" --head ")[0])
        if "curl -sN" not in line and "forged" not in line:
            assert shape(said.replace("interrupted", "^Cinterrupted")) == shape(shown), line


@pytest.mark.slow
def test_the_commands_of_the_guide_to_the_server_run(desk: Desk) -> None:
    desk.run("theater build && theater start theater.toml && theater request my-actor '{\"by\":5}'")
    (desk.project / "my-actor").mkdir()
    shutil.copytree(desk.project / "build", desk.project / "my-actor" / "build")

    for line in commands(GUIDE):
        if not line.startswith(tuple(NOT_HERE)):
            desk.run(line)

    copy = desk.run("theater --data-dir backup verify my-actor")
    assert copy.startswith("sound: ")


def test_what_is_not_run_is_there_and_has_a_reason() -> None:
    assert set(BY_THE_TEST) <= set(commands(README))
    for start in LIVE:
        assert any(line.startswith(start) for line in commands(README))
    for start in NOT_HERE:
        assert any(line.startswith(start) for line in commands(GUIDE))


@pytest.mark.parametrize("page", ["README.md", "docs/guides/server.md"])
def test_pictures_and_links_of_a_page_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    for link in links:
        assert ((ROOT / page).parent / link).exists(), link


def test_the_python_of_the_quick_start_is_python() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

    assert len(blocks) == 2
    for block in blocks:
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("name", ["list", "tree", "events", "inspect", "top"])
def test_a_picture_fetches_nothing_and_has_no_path_of_a_machine(name: str) -> None:
    svg = (ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8")

    assert svg.startswith("<svg ")
    assert not re.search(r"url\(\"?http|/tmp|/home|/root|script", svg)
