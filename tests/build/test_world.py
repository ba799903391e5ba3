"""A component imports what its manifest asks for."""

import pytest

from theater.build.world import HANDLERS, actor_world, command_world, find_handlers, read_interfaces
from theater_sdk import Actor


def lines(files: dict[str, bytes]) -> list[str]:
    return [line.strip() for line in files["world.wit"].decode().splitlines() if line.startswith("    ")]


def test_an_actor_imports_runtime_and_what_was_asked_for() -> None:
    assert lines(actor_world(["timing", "random", "no-such-thing"], read_interfaces())) == [
        "import theater:actor/random@0.1.0;",
        "import theater:actor/runtime@0.1.0;",
        "import theater:actor/timing@0.1.0;",
        "export theater:actor/actor@0.1.0;",
    ]


def test_a_command_imports_nothing_of_ours_unless_asked() -> None:
    assert lines(command_world([], read_interfaces())) == [
        "import wasi:cli/exit@0.2.12;",
        "export wasi:cli/run@0.2.0;",
    ]


def test_an_actor_exports_the_handlers_it_has() -> None:
    assert lines(actor_world([], read_interfaces(), ["upgrade", "channel-handlers"])) == [
        "import theater:actor/runtime@0.1.0;",
        "export theater:actor/actor@0.1.0;",
        "export theater:actor/channel-handlers@0.1.0;",
        "export theater:actor/upgrade@0.1.0;",
    ]


@pytest.mark.parametrize(
    ("text", "handlers"),
    [
        ("class A(Actor):\n    def handle(self): pass", ()),
        ("class A(Actor):\n    def child_exited(self): pass", ("supervisor-handlers",)),
        ("class A(Actor):\n    def channel_closed(self): pass", ("channel-handlers",)),
        (
            "class A(Actor):\n    def child_events(self): pass\n    def migrate(self): pass",
            ("event-handlers", "upgrade"),
        ),
        ("def child_exited(): pass\nx = 'def migrate(self)'", ()),
        ("class A(", ()),
        ("\0", ()),
    ],
)
def test_handlers_are_found_in_the_sources(text: str, handlers: tuple[str, ...]) -> None:
    assert find_handlers({"actor.py": text.encode(), "notes.txt": b"class A:\n    def migrate(self): pass"}) == handlers


def test_a_handler_may_be_inherited_from_another_module() -> None:
    base = b"class Base(Actor):\n    def child_exited(self, state, exit): return state"

    assert find_handlers({"actor.py": b"from base import Base\nclass A(Base): pass", "lib/base.py": base}) == (
        "supervisor-handlers",
    )


def test_every_handler_is_an_interface_and_a_method_of_the_class() -> None:
    for interface, methods in HANDLERS.items():
        assert f"{interface}.wit" in read_interfaces()
        assert all(hasattr(Actor, method) for method in methods)


def test_the_interfaces_come_with_it() -> None:
    assert "deps/theater-actor/types.wit" in actor_world([], read_interfaces())
