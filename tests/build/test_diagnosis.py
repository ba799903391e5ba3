"""What is said of a fault in Python sources, from outputs as the compiler writes them."""

import sys

import pytest

from theater.build.diagnosis import PACKAGES, diagnose, find_syntax_error

CHILD = """Traceback (most recent call last):
  File "<string>", line 8, in <module>
  File "<frozen runpy>", line 291, in run_path
  File "/tmp/theater-build-x/sdk/theater_componentize.py", line 7, in <module>
    sys.exit(script())
             ^^^^^^^^
AssertionError: """

IMPORT_ERROR = (
    CHILD
    + """Traceback (most recent call last):
  File "/1/theater_guest.py", line 10, in <module>
    import actor as user_module
  File "/0/actor.py", line 1, in <module>
    import helper
  File "/0/helper.py", line 2, in <module>
    json.loads("{")
    ~~~~~~~~~~^^^^^
  File "/python/json/__init__.py", line 352, in loads
    return _default_decoder.decode(s)
           ~~~~~~~~~~~~~~~~~~~~~~~^^^
json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)


Caused by:
    json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
"""
)

SYNTAX_ERROR = (
    CHILD
    + """Traceback (most recent call last):
  File "/1/theater_guest.py", line 10, in <module>
    import actor as user_module
  File "/0/actor.py", line 16
    type X = int = 3
                 ^
SyntaxError: invalid syntax


Caused by:
    SyntaxError: invalid syntax (actor.py, line 16)
"""
)

NO_CLASS = (
    CHILD
    + """Traceback (most recent call last):
  File "/1/theater_guest.py", line 140, in <module>
    USER_CLASS = _user_class()
theater_guest.NoActor: actor.py has no class that extends Actor: write `class Name(Actor):`, with a method handle


Caused by:
    theater_guest.NoActor: actor.py has no class that extends Actor: write `class Name(Actor):`, with a method handle
"""
)

MISSING = (
    CHILD
    + """Traceback (most recent call last):
  File "/1/theater_guest.py", line 10, in <module>
    import actor as user_module
  File "/0/actor.py", line 1, in <module>
    import numpy
ModuleNotFoundError: No module named 'numpy'


Caused by:
    ModuleNotFoundError: No module named 'numpy'
"""
)

SOURCES = {"actor.py": b"", "helper.py": b""}


def test_an_exception_while_importing_is_shown_with_the_frames_of_the_project() -> None:
    assert diagnose(IMPORT_ERROR, SOURCES) == (
        "Traceback (most recent call last):\n"
        '  File "actor.py", line 1, in <module>\n'
        "    import helper\n"
        '  File "helper.py", line 2, in <module>\n'
        '    json.loads("{")\n'
        "    ~~~~~~~~~~^^^^^\n"
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )


def test_a_syntax_error_that_only_the_compiler_knows_is_shown_with_its_place() -> None:
    assert diagnose(SYNTAX_ERROR, SOURCES) == ("actor.py:16: invalid syntax\n    type X = int = 3\n                 ^")


def test_a_missing_class_is_one_line() -> None:
    assert diagnose(NO_CLASS, SOURCES) == (
        "actor.py has no class that extends Actor: write `class Name(Actor):`, with a method handle"
    )


def test_a_missing_module_is_followed_by_what_to_do() -> None:
    assert diagnose(MISSING, SOURCES).splitlines()[-2:] == ["ModuleNotFoundError: No module named 'numpy'", PACKAGES]


@pytest.mark.parametrize("output", ["", "\n\n", CHILD])
def test_silence_is_said_to_be_silence(output: str) -> None:
    assert diagnose(output, SOURCES) == "the compiler failed without saying why"


def test_what_is_no_traceback_is_shown_as_it_is() -> None:
    assert diagnose("no space left on device\n", SOURCES) == "no space left on device"


def test_a_syntax_error_has_file_line_source_and_place() -> None:
    source = b'"""A counter."""\n\n    \nif "by" nott in body:\n    pass\n'

    assert find_syntax_error({"actor.py": source, "words.txt": b"("}) == (
        'actor.py:4: invalid syntax\n    if "by" nott in body:\n            ^^^^'
    )


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (b"def f():\nreturn 1", "actor.py:2: expected an indented block after function definition on line 1"),
        (b"x = '\xff'", "actor.py"),
        (b"x = 1\x00", "actor.py: source code string cannot contain null bytes"),
    ],
)
def test_other_faults_are_found_as_well(source: bytes, fault: str) -> None:
    assert (find_syntax_error({"actor.py": source}) or "").startswith(fault)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python knows all that the one inside knows")
@pytest.mark.parametrize(
    "source", ["x = f'{'a'}'", "type X = int", "def f[T](x): pass", "try: pass\nexcept A, B: pass"]
)
def test_what_may_be_newer_than_this_python_is_left_to_the_compiler(source: str) -> None:
    assert find_syntax_error({"actor.py": source.encode()}) is None


def test_sources_without_a_fault_have_none() -> None:
    assert find_syntax_error({"actor.py": b"x = 1\n", "image.png": b"\x89PNG"}) is None
