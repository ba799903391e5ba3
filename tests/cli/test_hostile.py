"""Hostile text from guests, chains, bundles, manifests and file names, through every command: none comes out raw."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Result, Theater
from tests.guests.component import actor
from tests.guests.imports import LOG
from tests.server.process import RunningServer
from theater.chain.lines import encode_line
from theater.chain.sealing import seal
from theater.engine import WasmtimeEngine
from theater.model.event import EMPTY, Head
from theater.model.ids import ActorId

# What a terminal or a reader could be fooled by; a newline in a message of ours is the only one of them that we print.
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

EVIL = "[red]\x1b[31m\x1b]0;title\x07\u202egnol\u2066\u2028\x9b2J\x7f[/red]"
EVIL_JSON = '"[red]\\u001b[31m\u202egnol\u2066\u2028\x9b2J\x7f[/red]"'
EVIL_WAT = "".join(f"\\{byte:02x}" for byte in EVIL.encode())
FAKE_LINES = "fine\nid 00000000000000000000000000000000\nerror: nothing"


def looked_at(done: Result) -> Result:
    """The same result, once nothing in it is raw."""
    for text in (done.out, done.err):
        assert not RAW.search(text), repr(text)
    return done


@pytest.fixture(scope="module")
def evil_guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It logs, refuses and answers with hostile text, as it is told."""
    text = actor(
        imports=[LOG],
        handle=f"""
    (call $log (i32.const 2) @"{EVIL_WAT}")
    (if (call $is (local.get $body) (local.get $body-len) @"\\"refuse\\"")
      (then (return (call $refuse @"{EVIL_WAT}\\0anext"))))
    (call $ok (local.get $body) (local.get $body-len) (local.get $body) (local.get $body-len))""",
    )
    folder = tmp_path_factory.mktemp("evil")
    engine = WasmtimeEngine(folder / "cache")
    try:
        path = folder / "evil.wasm"
        path.write_bytes(engine.assemble(text))
    finally:
        engine.close()
    return path


@pytest.mark.slow
def test_what_a_guest_says_is_shown_safely_by_every_command(theater: Theater, evil_guest: Path) -> None:
    arguments = ("run", evil_guest, "--request", EVIL_JSON, "--request", '"refuse"')

    done = looked_at(theater(*arguments))
    reply = done.out.splitlines()[0]
    document = looked_at(theater(*arguments, "--json")).table

    assert "[red]" in reply
    assert "\\u202e" in reply
    assert "refused: [red]\\u{1b}[31m" in done.err
    assert document["replies"] == ["[red]\x1b[31m\u202egnol\u2066\u2028\x9b2J\x7f[/red]", None]
    for command in ("events", "logs", "state", "verify", "replay", "tree", "inspect"):
        looked_at(theater(command, "evil"))
        looked_at(theater(command, "evil", "--json"))
    looked_at(theater("events", "evil", "--full"))
    assert "[red]\\u{1b}[31m" in theater("logs", "evil").out
    looked_at(theater("export", "evil", "-o", "evil.theater"))
    looked_at(theater("--data-dir", "other", "import", "evil.theater"))
    looked_at(theater("--data-dir", "other", "events", "evil"))


@pytest.mark.slow
def test_what_a_guest_says_is_shown_safely_through_a_server_too(
    theater: Theater, place: Path, evil_guest: Path
) -> None:
    (place / "evil.toml").write_text(f'name = "evil"\ncomponent = "{evil_guest}"\n')

    with RunningServer(place):
        for arguments in (
            ("start", "evil.toml"),
            ("request", "evil", EVIL_JSON),
            ("request", "evil", '"refuse"'),
            ("send", "evil", EVIL_JSON),
            *((name, "evil") for name in ("events", "logs", "state", "verify", "replay", "tree", "inspect")),
            ("events", "evil", "--full"),
            ("list",),
            ("top", "--once", "--interval", "100ms"),
            ("state", EVIL),
            ("tree", EVIL),
        ):
            looked_at(theater(*arguments))
            looked_at(theater(*arguments, "--json"))
        assert "[red]\\u{1b}[31m" in theater("logs", "evil").out
        assert "refused in event" in theater("inspect", "evil").out


def test_a_reply_stays_on_its_line(theater: Theater) -> None:
    done = looked_at(theater("run", "echo.wasm", "--request", '[1,\n"id 0",\r\n\t2]'))

    assert done.out.splitlines()[0] == '[1, "id 0",   2]'
    assert len(done.out.splitlines()) == 3


def evil_chain(path: Path) -> None:
    """A chain whose events hold what no version of ours writes."""
    actor_id = ActorId("ab" * 16)
    head = EMPTY
    lines = []
    payloads = (
        ("genesis", b'{"program":"' + EVIL.encode("unicode_escape").replace(b"\\", b"") + b'"}'),
        ("lifecycle", b"\x1b[31m not json \xe2\x80\xae"),
        ("log", b'{"text":"\xe2\x80\xae\xc2\x9b[red]"}'),
    )
    for kind, payload in payloads:
        event = seal(
            head,
            actor=actor_id,
            kind=kind,  # type: ignore[arg-type]  # one of the kinds
            name="x",
            payload=payload,
            salt=bytes(16),
            time_us=0,
        )
        head = Head(event.header.seq, event.hash)
        lines.append(encode_line(event))
    path.write_bytes(b"".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--no-execute",), ("--json",)])
def test_a_hostile_chain_is_named_safely(theater: Theater, place: Path, options: tuple[str, ...]) -> None:
    evil_chain(place / "evil.jsonl")
    (place / "junk.jsonl").write_bytes(EVIL.encode() + b"\n")

    for name in ("evil.jsonl", "junk.jsonl"):
        looked_at(theater("verify", name, *options))
    looked_at(theater("replay", "junk.jsonl"))


EVIL_MANIFESTS = [
    '"k\\u001b[31m\\u202e" = 1\n',
    'name = "\\u001b[31m\\u202e\\u009b"\ncomponent = "x"\n',
    'name = "x"\ncomponent = "\\u001b[31m\\u202e\\u009b[red].wasm"\n',
    'name = "x"\ncomponent = "counter.wasm"\n[capabilities."\\u001b[31m\\u202e"]\n',
    'name = "x"\ncomponent = "counter.wasm"\n[capabilities.environment]\nallow = ["A\\u001b\\u202e\\u0007[red]"]\n',
    'name = "x"\ncomponent = "counter.wasm"\n[limits]\n"\\u001b\\u202e" = 1\n',
    'name = "x"\ncomponent = "counter.wasm"\ninstance = "\\u001b\\u202e"\n',
    'name = "x"\ncomponent = "\\u001b\\u202e.wasm"\nparams = "${\\u202e}"\n',
    "\u202e\x9b = 1\n",
]


@pytest.mark.parametrize("text", EVIL_MANIFESTS)
def test_a_hostile_manifest_is_named_safely(theater: Theater, place: Path, text: str) -> None:
    (place / "theater.toml").write_text(text)

    for command in ("validate", "run", "build"):
        assert looked_at(theater(command, ".")).code in (1, 5)
        assert looked_at(theater(command, ".", "--json")).code in (1, 5)
    looked_at(theater("run", ".", "--allow", "environment"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", f"{EVIL}.wasm"),
        ("run", "counter.wasm", "--request", EVIL),
        ("run", "counter.wasm", "--set", EVIL),
        ("run", "counter.wasm", "--allow", EVIL),
        ("run", "counter.wasm", "--name", EVIL),
        ("run", "--id", EVIL),
        ("create", EVIL.replace("/", "")),
        ("create", "x", "--lang", EVIL),
        ("build", EVIL),
        ("validate", EVIL),
        ("inspect-component", EVIL),
        ("events", EVIL),
        ("events", "x", "--kind", EVIL),
        ("logs", EVIL),
        ("state", EVIL),
        ("state", FAKE_LINES),
        ("verify", EVIL),
        ("verify", "x", "--head", EVIL),
        ("verify", "x", "--max-memory", EVIL),
        ("replay", EVIL),
        ("grants", "suggest", EVIL),
        ("grants", "suggest", "x", "-o", EVIL),
        ("grants", "suggest", "x", "--component", EVIL),
        ("grants", "suggest", "x", "--chain-component", EVIL),
        ("export", "x", "-o", EVIL),
        ("import", EVIL),
        ("list", EVIL),
        ("list", "--status", EVIL),
        ("tree", EVIL),
        ("inspect", EVIL),
        ("logs", EVIL, "--follow"),
        ("subscribe", EVIL),
        ("top", "--interval", EVIL),
        ("completion", EVIL),
        ("--server", EVIL, "list"),
        ("config", f"--{EVIL}"),
        ("--data-dir", EVIL, "config"),
        ("--data-dir", EVIL, "events", "x"),
        ("version", EVIL),
        (EVIL,),
        ("run", "\udcff.wasm"),
        ("--data-dir", "\udcff", "config"),
    ],
)
def test_hostile_arguments_are_named_safely(theater: Theater, arguments: tuple[str, ...]) -> None:
    plain = looked_at(theater(*arguments))
    document = looked_at(theater("--json", *arguments))

    assert plain.code == document.code
    assert isinstance(document.document, dict)
    assert not any(line.startswith("id 0") for line in plain.err.splitlines())


FORGING_MANIFESTS = [
    'name = "x"\ncomponent = "a\\nerror: fake\\n.wat"\n',
    'name = "x\\nerror: fake"\ncomponent = "x"\n',
    '"k\\nerror: fake" = 1\n',
    'name = "x"\ncomponent = "counter.wasm"\n[capabilities."a\\nerror: fake"]\n',
    'name = "x"\ncomponent = "counter.wasm"\n[capabilities.environment]\nallow = ["A\\nerror: fake"]\n',
    'name = "x"\ncomponent = "counter.wasm"\n[limits]\n"a\\nerror: fake" = 1\n',
    'name = "x"\ncomponent = "broken.wat"\n',
]


@pytest.mark.parametrize("text", FORGING_MANIFESTS)
def test_a_manifest_forges_no_line(theater: Theater, place: Path, text: str) -> None:
    (place / "theater.toml").write_text(text)
    (place / "broken.wat").write_text("(component\nerror: fake\n)")

    for command in ("validate", "run"):
        done = theater(command, ".")
        assert done.code in (1, 5)
        assert not any(line.startswith("error: fake") for line in (done.out + done.err).splitlines())


@pytest.mark.slow
def test_a_refusal_forges_no_line(theater: Theater, place: Path) -> None:
    fake = 'call $refuse @"fine\\0aerror: fake\\0aid 00"'
    (place / "forger.wat").write_text(actor(handle=f"({fake})"))

    done = theater("run", "forger.wat", "--request", "1")

    assert "refused: fine\\u{a}error: fake\\u{a}id 00\n" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["id", "head"]
