"""``create``, ``build``, ``validate``, ``inspect-component``."""

import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from tests.guests import wat
from tests.guests.component import Import, actor
from tests.guests.web import SERVICE
from theater.build.create import TEMPLATES

GET_DIRECTORIES = Import(
    "wasi:filesystem/preopens@0.2.0",
    "get-directories",
    "(result (list (tuple (own $o) string)))",
    "(param i32)",
    types='(export "descriptor" (type $o (eq $descriptor)))',
    before="""
  (import "wasi:filesystem/types@0.2.0" (instance $files (export "descriptor" (type (sub resource)))))
  (alias export $files "descriptor" (type $descriptor))
""",
)


def test_create_makes_a_project(theater: Theater, place: Path) -> None:
    done = theater("create", "mine", "--json")

    assert done.code == 0
    assert set(done.table) == {"name", "lang", "template", "files"}
    files = done.table["files"]
    assert isinstance(files, list)
    assert "mine/actor.py" in files
    assert all((place / file).is_file() for file in files)
    assert theater("create", "other", "--template", "command").out.splitlines()[0] == "other/main.py"


@pytest.mark.parametrize("template", TEMPLATES)
def test_create_knows_every_template(theater: Theater, place: Path, template: str) -> None:
    done = theater("create", "mine", "--template", template)

    assert done.code == 0
    assert (place / "mine/theater.toml").is_file()
    assert done.err.endswith("theater.toml --allow http-server\n" if template == "http" else "theater.toml\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create",), 2),
        (("create", "x", "--lang", "cobol"), 2),
        (("create", "x", "--template", "nonsense"), 2),
        (("create", "Not A Name"), 2),
        (("build", "nowhere"), 5),
        (("build", "--nonsense"), 2),
        (("validate",), 2),
        (("validate", "nowhere.toml"), 5),
        (("inspect-component",), 2),
        (("inspect-component", "nowhere.wasm"), 5),
    ],
)
def test_exit_codes(theater: Theater, arguments: tuple[str, ...], code: int) -> None:
    done = theater(*arguments, "--json")

    assert done.code == code
    assert set(done.table) == {"error"}


def test_create_does_not_touch_what_is_there(theater: Theater, place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "precious").touch()

    assert theater("create", "mine").code == 1
    assert [path.name for path in (place / "mine").iterdir()] == ["precious"]


@pytest.mark.slow
def test_build_makes_the_component_once(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text('name = "mine"\ncomponent = "mine.wasm"\n')
    (place / "actor.wat").write_text(wat.COUNTER)

    first = theater("build", "--json").table
    again = theater("build", ".", "--json").table
    forced = theater("build", "theater.toml", "--force", "--json").table

    assert set(first) == {"path", "digest", "size", "seconds", "cached"}
    assert [first["cached"], again["cached"], forced["cached"]] == [False, True, False]
    assert first["digest"] == hashlib.sha256((place / "mine.wasm").read_bytes()).hexdigest()
    assert theater("build").out == f"{place / 'mine.wasm'}  sha256:{first['digest']}\n"


@pytest.mark.slow
def test_a_build_that_fails_says_what_the_toolchain_says(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text('name = "mine"\n')
    (place / "actor.wat").write_text("(component (nonsense))")

    done = theater("build", "--json")

    assert done.code == 1
    error = done.table["error"]
    assert isinstance(error, dict)
    assert error["code"] == "build-failed"
    assert "actor.wat" in done.err


def manifest(folder: Path, text: str) -> Path:
    path = folder / "theater.toml"
    path.write_text(text)
    return path


def test_validate_shows_the_grants_and_limits_in_force(theater: Theater, place: Path) -> None:
    path = manifest(
        place,
        'name = "sleeper"\ncomponent = "sleeper.wasm"\n[limits]\nfuel = 5\n[capabilities.timing]\n',
    )

    plain = theater("validate", path)
    document = theater("validate", place, "--json").table

    assert plain.code == 0
    for line in (
        "role       actor",
        'grant      timing  sleep = "60s", schedule = "365d", repeat = "1s"',
        "limit      fuel = 5",
        "limit      memory = 64MiB",
    ):
        assert line in plain.out.splitlines()
    assert set(document) == {
        *("ok", "name", "component", "role", "instance", "grants", "limits", "problems", "warnings"),
    }
    assert document["ok"] is True
    assert document["grants"] == {
        "runtime": {"log": "64KiB"},
        "timing": {"sleep": "60s", "schedule": "365d", "repeat": "1s"},
    }
    assert (document["problems"], document["warnings"]) == ([], [])


def test_validate_warns_of_a_grant_that_names_nothing(theater: Theater, place: Path) -> None:
    empty = '[capabilities.timing]\n[capabilities.http-client]\nallow = []\nprivate = ["localhost"]\n'
    (place / "theater.toml").write_text(f'name = "sleeper"\ncomponent = "sleeper.wasm"\n{empty}')

    warnings = theater("validate", ".", "--allow", "http-client", "--json").table["warnings"]

    assert warnings == [
        "it asks for [capabilities.http-client] with allow = []: what is not named is not allowed",
        "it asks for [capabilities.http-client], and its component imports nothing of that",
    ]


def test_validate_knows_the_ways_of_wasi_to_a_capability(theater: Theater, place: Path) -> None:
    (place / "x.wat").write_text(actor(imports=[GET_DIRECTORIES], handle="unreachable"))
    tables = '[capabilities.filesystem]\nread = ["."]\n[capabilities.environment]\nallow = ["A"]\n'
    (place / "theater.toml").write_text(f'name = "x"\ncomponent = "x.wat"\n{tables}')

    warnings = theater("validate", ".", "--allow", "environment", "--allow", "filesystem", "--json").table["warnings"]

    assert warnings == ["it asks for [capabilities.environment], and its component imports nothing of that"]


def test_a_service_has_a_use_for_the_grant_that_says_where_it_is_asked(theater: Theater, place: Path) -> None:
    (place / "s.wat").write_text(SERVICE)
    (place / "s.toml").write_text(
        'name = "s"\ncomponent = "s.wat"\n[capabilities.http-server]\nlisten = ["127.0.0.1:*"]\n'
    )

    done = theater("validate", "s.toml", "--allow", "http-server", "--json")

    assert (done.code, done.table["role"], done.table["warnings"]) == (0, "service", [])


def test_validate_says_that_nothing_says_where_a_service_is_asked(theater: Theater, place: Path) -> None:
    (place / "s.wat").write_text(SERVICE)
    (place / "s.toml").write_text('name = "s"\ncomponent = "s.wat"\n')

    done = theater("validate", "s.toml")

    assert done.code == 1
    assert "put [capabilities.http-server] listen = " in done.err


def test_validate_does_not_warn_of_what_an_empty_table_means(theater: Theater, place: Path) -> None:
    (place / "theater.toml").write_text('name = "x"\ncomponent = "sleeper.wasm"\n[capabilities.timing]\n')

    assert theater("validate", ".", "--json").table["warnings"] == []


def test_validate_warns_of_a_grant_that_nothing_imports(theater: Theater, place: Path) -> None:
    manifest(place, 'name = "counter"\ncomponent = "counter.wasm"\n[capabilities.timing]\n')

    done = theater("validate", ".")

    assert done.code == 0
    assert "[capabilities.timing], and its component imports nothing of that" in done.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('name = "x"\ncomponent = "sleeper.wasm"\n', "add [capabilities.timing]"),
        ('name = "x"\ncomponent = "stranger.wasm"\n', "vendor:thing/api"),
        ('name = "x"\ncomponent = "nowhere.wasm"\n', "there is no component"),
        ('name = "x"\ncomponent = "counter.wasm"\n[capabilities.environment]\nallow = ["HOME"]\n', 'allow = ["HOME"]'),
        ('name = "x"\ncomponent = "counter.wasm"\n[capabilities.nonsense]\n', "no capability 'nonsense'"),
        ('name = "x"\ncomponent = "sha256:' + "0" * 64 + '"\n', "the content store has no component"),
    ],
)
def test_validate_gives_the_reasons(theater: Theater, place: Path, text: str, problem: str) -> None:
    manifest(place, text)

    done = theater("validate", ".", "--json")

    assert done.code == 1
    assert done.table["ok"] is False
    problems = done.table["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 1
    assert problem in problems[0]
    assert problem in theater("validate", ".").err


def test_validate_of_a_manifest_that_cannot_be_read_is_an_error(theater: Theater, place: Path) -> None:
    manifest(place, 'name = "x"\ncomponnent = "counter.wasm"\n')

    done = theater("validate", ".", "--json")

    assert done.code == 1
    assert "did you mean 'component'?" in done.err


@pytest.mark.usefixtures("counter")
def test_validate_reaches_a_component_of_the_content_store(theater: Theater, place: Path) -> None:
    digest = hashlib.sha256((place / "counter.wasm").read_bytes()).hexdigest()
    manifest(place, f'name = "x"\ncomponent = "sha256:{digest}"\n')

    assert theater("validate", ".", "--json").table["component"] == digest


def test_inspect_component_says_who_answers_what(theater: Theater, place: Path) -> None:
    plain = theater("inspect-component", "sleeper.wasm")
    document = theater("inspect-component", "sleeper.wasm", "--json").table

    assert plain.code == 0
    assert set(document) == {"digest", "size", "role", "unfit", "imports", "exports"}
    assert document["digest"] == hashlib.sha256((place / "sleeper.wasm").read_bytes()).hexdigest()
    assert document["role"] == "actor"
    imports = document["imports"]
    assert isinstance(imports, list)
    assert imports[0] == {
        "interface": "theater:actor/timing@0.1.0",
        "function": "sleep",
        "capability": "timing",
        "class": "waiting",
        "needs_grant": True,
        "refusal": None,
    }
    assert "theater:actor/timing@0.1.0#sleep  timing (if granted)  waiting" in plain.out
    assert document["exports"] == ["theater:actor/actor#handle", "theater:actor/actor#init"]


def test_inspect_component_shows_also_what_cannot_run(theater: Theater) -> None:
    done = theater("inspect-component", "stranger.wasm")

    assert done.code == 0
    assert "nobody" in done.out
    assert theater("inspect-component", "command.wasm", "--json").table["role"] == "command"


def test_inspect_component_refuses_what_is_none(theater: Theater, place: Path) -> None:
    (place / "text.wasm").write_text("(component)")
    (place / "core.wasm").write_bytes(b"\0asm\x01\0\0\0")

    assert "rename it to .wat" in theater("inspect-component", "text.wasm").err
    core = theater("inspect-component", "core.wasm", "--json")
    assert core.code == 1
    error = core.table["error"]
    assert isinstance(error, dict)
    assert error["code"] == "invalid-component"
