"""A capability of another package, the one of the guide: found by its entry point, granted, recorded, replayed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.guests.component import Import, actor
from tests.runtime.stage import Workshop

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0
PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "capabilities.md").read_text(encoding="utf-8")
COMMAND = [sys.executable, "-c", "import sys; from theater.cli.main import main; sys.exit(main())"]

GREET = Import(
    "acme:thing/greeter@1.0.0",
    "greet",
    '(param "language" string) (result (result string (error $error)))',
    "(param i32 i32 i32)",
    types='(type $e (variant (case "denied" string) (case "unknown-language"))) (export "error" (type $error (eq $e)))',
)
GUEST = actor(
    imports=[GREET],
    handle="""
    (call $greet (i32.add (local.get $body) (i32.const 1)) (i32.sub (local.get $body-len) (i32.const 2)) (i32.const 64))
    (call $begin) (call $put @"\\"")
    (if (i32.eqz (i32.load8_u (i32.const 64)))
      (then (call $put (i32.load (i32.const 68)) (i32.load (i32.const 72))))
      (else (if (i32.load8_u (i32.const 68)) (then (call $put @"unknown")) (else (call $put @"denied")))))
    (call $put @"\\"")
    (call $ok (local.get $state) (local.get $state-len) (global.get $out) (global.get $out-len))""",
)
"""``"de"``: answers with the greeting, "denied" or "unknown"."""


def block(language: str, having: str) -> str:
    """The block of the page with this in it."""
    [found] = [
        text for text in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if having in text
    ]
    return str(found)


class Desk:
    """A folder with a guest, somebody's greetings, and the package, which is installed or not."""

    def __init__(self, folder: Path, component: Path) -> None:
        self.folder = folder
        shutil.copy(component, folder / "guest.wasm")
        (folder / "theater.toml").write_text(block("toml", "[capabilities.greeter]"))
        self.greetings = folder / "greetings"
        self.greetings.mkdir()
        (self.greetings / "de.txt").write_text("servus\n")
        self.packages = folder / "packages"
        self.packages.mkdir()

    def install(self) -> None:
        """As ``pip`` would."""
        project = tomllib.loads(block("toml", "entry-points"))["project"]
        (self.packages / "acme_greeter.py").write_text(block("python", "CAPABILITY = "))
        info = self.packages / f"acme_greeter-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = project["entry-points"]["theater.capabilities"]
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[theater.capabilities]\n{lines}")

    def theater(self, *arguments: str, code: int = 0) -> str:
        """Run ``theater ...``; returns all that it said."""
        environ = {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.packages),
            "ACME_GREETINGS": str(self.greetings),
            "COLUMNS": "200",
        }
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture
def desk(tmp_path: Path, workshop: Workshop) -> Desk:
    return Desk(tmp_path, workshop.file(GUEST))


def requests(*bodies: str) -> Sequence[str]:
    return [part for body in bodies for part in ("--request", f'"{body}"')]


def test_it_is_granted_denied_recorded_and_replayed_without_the_world(desk: Desk) -> None:
    desk.install()

    asked = desk.theater("run", "theater.toml", code=1)
    for line in ("[capabilities.greeter]", 'languages = ["de", "tlh"]', "--allow greeter"):
        assert line in asked
    ran = desk.theater("run", "theater.toml", "--allow", "greeter", *requests("de", "fr", "tlh"))
    assert '\n"servus"\n"denied"\n"unknown"\n' in ran
    hosts = [
        line.partition("host")[2].strip() for line in desk.theater("events", "guest", "--kind", "host").splitlines()
    ]
    assert hosts == [
        'acme:thing/greeter#greet  -> {"ok":"servus"}',
        r'acme:thing/greeter#greet  -> {"err":{"denied":"languages = [\"fr\"]"}}',
        'acme:thing/greeter#greet  -> {"err":{"unknown-language":null}}',
    ]

    shutil.rmtree(desk.greetings)
    assert desk.theater("verify", "guest").startswith("sound")
    assert desk.theater("replay", "guest").startswith("identical")
    desk.theater("export", "guest", "-o", "guest.theater")
    assert desk.theater("verify", "guest.theater").startswith("sound")


def test_a_pattern_allows_a_part_of_it(desk: Desk) -> None:
    desk.install()

    asked = desk.theater("run", "theater.toml", "--allow", "greeter=de", code=1)

    assert 'languages = ["tlh"]' in asked


def test_a_component_that_imports_it_is_refused_without_the_grant(desk: Desk) -> None:
    desk.install()
    (desk.folder / "theater.toml").write_text('name = "guest"\ncomponent = "guest.wasm"\n')

    refused = desk.theater("run", "theater.toml", code=1)

    assert "acme:thing/greeter was not granted: add [capabilities.greeter] to the manifest" in refused


def test_where_the_package_is_not_installed_nobody_knows_it(desk: Desk) -> None:
    assert "there is no capability 'greeter'" in desk.theater("run", "theater.toml", "--allow", "greeter", code=1)
    desk.install()
    desk.theater("run", "theater.toml", "--allow", "greeter", *requests("de"))
    desk.theater("export", "guest", "-o", "guest.theater")
    shutil.rmtree(desk.packages)

    assert "greeter" in desk.theater("verify", "guest.theater", code=1)
    assert "host" in desk.theater("events", "guest")
