"""What a person set: which value is in force, where it came from, and what is refused by name."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from theater.capabilities.environment import EnvironmentGrant
from theater.capabilities.registry import built_in
from theater.capabilities.timing import TimingGrant
from theater.errors import InvalidInput, InvalidManifest
from theater.runtime.config import Config, Setting, config_file, read_config
from theater.runtime.permissions import default_ceiling

REGISTRY = built_in()


def configured(folder: Path, text: str | bytes | None = None, *, data_dir: str | None = None, **environ: str) -> Config:
    """The config where the file has this text (None: there is no file)."""
    if text is not None:
        file = folder / "config" / "theater" / "config.toml"
        file.parent.mkdir(parents=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    environ = {"XDG_CONFIG_HOME": str(folder / "config"), "HOME": str(folder / "home"), **environ}
    return read_config(REGISTRY, environ, data_dir=data_dir)


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    config = configured(tmp_path)

    assert config == Config(
        file=tmp_path / "config" / "theater" / "config.toml",
        data_dir=Setting(str(tmp_path / "home" / ".local" / "share" / "theater"), "default"),
        durability=Setting("process", "default"),
        reserve=Setting("1GiB", "default"),
        server=Setting("", "default"),
        host=Setting("127.0.0.1", "default"),
        port=Setting("2823", "default"),
        output=Setting("human", "default"),
        log_format=Setting("human", "default"),
        ceiling=default_ceiling(REGISTRY),
        ceiling_origin="default",
    )


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    assert configured(tmp_path / "a", "").durability == configured(tmp_path / "b").durability


def test_the_file_lies_where_configs_lie() -> None:
    assert config_file({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}) == Path("/c/theater/config.toml")
    assert config_file({"XDG_CONFIG_HOME": "", "HOME": "/h"}) == Path("/h/.config/theater/config.toml")
    of_the_user = Path(pwd.getpwuid(os.getuid()).pw_dir)  # whatever HOME the tests run with
    assert config_file({}) == of_the_user / ".config" / "theater" / "config.toml"


# -- the data directory ----------------------------------------------------------------------------------------------


def test_argument_before_environment_before_file_before_xdg_before_default(tmp_path: Path) -> None:
    line = 'data-dir = "/filed"\n'
    everything = {"THEATER_DATA_DIR": "/environ", "XDG_DATA_HOME": "/xdg"}

    found = [
        configured(tmp_path / "1", line, data_dir="/argument", **everything).data_dir,
        configured(tmp_path / "2", line, **everything).data_dir,
        configured(tmp_path / "3", line, XDG_DATA_HOME="/xdg").data_dir,
        configured(tmp_path / "4", XDG_DATA_HOME="/xdg").data_dir,
        configured(tmp_path / "5").data_dir,
    ]

    assert found == [
        Setting("/argument", "argument"),
        Setting("/environ", "environment"),
        Setting("/filed", "file"),
        Setting("/xdg/theater", "default"),
        Setting(f"{tmp_path}/5/home/.local/share/theater", "default"),
    ]


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    config = configured(tmp_path, data_dir="", THEATER_DATA_DIR="", XDG_DATA_HOME="")

    assert config.data_dir == Setting(f"{tmp_path}/home/.local/share/theater", "default")


def test_a_data_dir_of_the_file_may_lie_at_home(tmp_path: Path) -> None:
    assert configured(tmp_path, 'data-dir = "~/x"\n').data_dir == Setting(str(Path("~/x").expanduser()), "file")


# -- the ceiling -----------------------------------------------------------------------------------------------------


def test_a_ceiling_of_the_file_stands_beside_the_default_one_and_in_its_place(tmp_path: Path) -> None:
    config = configured(tmp_path, '[ceiling.environment]\nallow = ["LANG"]\n[ceiling.timing]\nsleep = "2h"\n')

    assert config.ceiling_origin == "file"
    assert config.ceiling == {
        **default_ceiling(REGISTRY),
        "environment": EnvironmentGrant(("LANG",)),
        "timing": TimingGrant(7_200_000),
    }


def test_durability_is_one_of_two(tmp_path: Path) -> None:
    assert configured(tmp_path / "1", 'durability = "power"\n').durability == Setting("power", "file")
    assert configured(tmp_path / "2", 'durability = "process"\n').durability == Setting("process", "file")


# -- the other settings ----------------------------------------------------------------------------------------------

FILED = """
reserve = "2GiB"
server = "https://node.example:2823/"
host = "0.0.0.0"
port = 80
output = "json"
log-format = "json"
"""


def test_each_setting_can_stand_in_the_file(tmp_path: Path) -> None:
    assert {key: (found.value, found.origin) for key, found in configured(tmp_path, FILED).settings.items()} == {
        "data-dir": (str(tmp_path / "home" / ".local" / "share" / "theater"), "default"),
        "durability": ("process", "default"),
        "reserve": ("2GiB", "file"),
        "server": ("https://node.example:2823", "file"),
        "host": ("0.0.0.0", "file"),
        "port": ("80", "file"),
        "output": ("json", "file"),
        "log-format": ("json", "file"),
    }


def test_argument_before_environment_before_file_for_the_others_too(tmp_path: Path) -> None:
    environ = {"THEATER_RESERVE": "5", "THEATER_SERVER": "http://e", "THEATER_OUTPUT": "human", "THEATER_PORT": "1"}
    environ |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    configured(tmp_path, FILED)

    set_by_environ = read_config(REGISTRY, environ)
    said = read_config(REGISTRY, environ, server="http://a", arguments={"reserve": "0", "port": "0", "output": None})

    assert [set_by_environ.settings[key].value for key in ("reserve", "server", "output")] == ["5", "http://e", "human"]
    assert {set_by_environ.settings[key].origin for key in ("reserve", "server", "output")} == {"environment"}
    assert set_by_environ.port == Setting("80", "file")  # which no variable sets
    assert said.reserve == Setting("0", "argument")
    assert said.server == Setting("http://a", "argument")
    assert said.port == Setting("0", "argument")
    assert said.output.origin == "environment"


def test_the_reserve_is_a_size_and_may_be_nothing(tmp_path: Path) -> None:
    assert configured(tmp_path / "1").reserve_bytes == 2**30
    assert configured(tmp_path / "2", "reserve = 4096\n").reserve_bytes == 4096
    assert configured(tmp_path / "3", THEATER_RESERVE="0").reserve_bytes == 0


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"THEATER_RESERVE": "much"}, "\\$THEATER_RESERVE = 'much': write a size"),
        ({"THEATER_SERVER": "node.example"}, "\\$THEATER_SERVER = 'node.example': write the address of a server"),
        ({"THEATER_OUTPUT": "text"}, """\\$THEATER_OUTPUT = 'text': write "human" or "json\""""),
    ],
)
def test_what_cannot_be_is_refused_and_the_variable_named(tmp_path: Path, environ: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        configured(tmp_path, **environ)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("data-dir = ", "is not TOML"),
        ("x = " + "[" * 20_000, "is not TOML"),
        (b"\xff\xfe", "is not TOML: it is no text in UTF-8"),
        (b"#" * 2**20 + b"\n", "is too large"),
        ('datadir = "/x"\n', "unknown key 'datadir'; did you mean 'data-dir'?"),
        ("zzz = 1\n", "unknown key 'zzz'$"),
        ('durability = "disk"\n', """durability = 'disk': write "process" or "power\""""),
        ("durability = true\n", """write "process" or "power\""""),
        ("reserve = -1\n", 'write a size, for example "1GiB", or 0'),
        ("reserve = true\n", "write a size"),
        ('server = "ftp://x"\n', "write the address of a server"),
        ('server = "http://"\n', "write the address of a server"),
        ('server = "http://x:99999"\n', "write the address of a server"),
        ('server = "http://x/v1"\n', "write the address of a server"),
        ('server = "http://x y"\n', "write the address of a server"),
        ('server = "http://me:secret@x"\n', "no name and no password"),
        ("server = 5\n", "write the address of a server"),
        ('host = ""\n', "write a name or an address"),
        ('host = "a b"\n', "write a name or an address"),
        ("host = 5\n", "write a name or an address"),
        ("port = 65536\n", "write a number from 0 to 65535"),
        ("port = -1\n", "write a number from 0 to 65535"),
        ("port = true\n", "write a number from 0 to 65535"),
        ('output = "text"\n', 'write "human" or "json"'),
        ('log-format = ["json"]\n', 'write "human" or "json"'),
        ("data-dir = 5\n", "data-dir = 5: write the name of a folder"),
        ('data-dir = ""\n', "write the name of a folder"),
        ("ceiling = 1\n", r"write \[ceiling.NAME\]|written \[ceiling.NAME\]"),
        ("[ceiling]\ntiming = true\n", r"written \[ceiling.NAME\]"),
        ("secrets = 1\n", r"written \[secrets\]"),
        ('[secrets]\nKEY = "s3cr3t"\n', r'secrets.KEY: write "env:VARIABLE" or "file:/path"'),
        ('[secrets]\nKEY = "env:"\n', "secrets.KEY"),
        ('[secrets]\nKEY = "file:relative"\n', "secrets.KEY"),
        ("[secrets]\nKEY = 5\n", "secrets.KEY"),
        ("tls = 1\n", r"written \[tls.NAME\]"),
        ("[tls.shop]\n", r"\[tls.shop\] has two keys"),
        ('[tls.shop]\ncertificate = "/a"\nkey = "b"\n', r"\[tls.shop\] key = 'b': write the absolute path"),
        ('[tls.shop]\ncertificate = "/a"\nkey = "/b"\nca = "/c"\n', r"\[tls.shop\] has two keys"),
        ('[tls."a b"]\ncertificate = "/a"\nkey = "/b"\n', "a name has 1 to 64"),
    ],
)
def test_what_cannot_be_is_refused_and_the_file_named(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        configured(tmp_path, text)

    assert str(tmp_path / "config" / "theater" / "config.toml") in caught.value.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[ceiling.timeing]\n", r"\[ceiling.timeing\].*did you mean 'timing'"),
        ('[ceiling.http-server]\nlisten = ["here"]\n', "write an address and a port"),
        ('[ceiling.timing]\nsleep = "long"\n', "sleep"),
        ('[ceiling.environment]\nallow = "LANG"\n', "write a list of texts"),
    ],
)
def test_a_ceiling_that_cannot_be_is_refused_and_the_file_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InvalidManifest, match=why) as caught:
        configured(tmp_path, text)

    assert caught.value.message.startswith(f"{tmp_path}/config/theater/config.toml: ")


def test_what_is_no_file_in_the_files_place_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "config" / "theater" / "config.toml"
    file.mkdir(parents=True)
    with pytest.raises(InvalidInput, match="is no file"):
        configured(tmp_path)

    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(InvalidInput, match="is no file"):  # and nobody is waited for who writes into it
        configured(tmp_path)


def test_an_empty_home_is_as_good_as_none() -> None:
    empty, none = read_config(REGISTRY, {"HOME": ""}), read_config(REGISTRY, {})

    assert empty == none
    assert empty.data_dir.value.endswith("/.local/share/theater")
    assert empty.file.is_absolute()
