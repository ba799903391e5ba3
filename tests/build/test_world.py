"""A component imports what its manifest asks for."""

from theater.build.world import actor_world, command_world, read_interfaces


def lines(files: dict[str, bytes]) -> list[str]:
    return [line.strip() for line in files["world.wit"].decode().splitlines() if line.startswith("    ")]


def test_an_actor_imports_runtime_and_what_was_asked_for() -> None:
    assert lines(actor_world(["random", "no-such-thing"], read_interfaces())) == [
        "import theater:actor/random@0.1.0;",
        "import theater:actor/runtime@0.1.0;",
        "export theater:actor/actor@0.1.0;",
    ]


def test_a_command_imports_nothing_of_ours_unless_asked() -> None:
    assert lines(command_world([], read_interfaces())) == ["export wasi:cli/run@0.2.0;"]


def test_an_interface_of_which_hosts_answer_a_part_only_is_not_imported() -> None:
    assert not any("timing" in line for line in lines(actor_world(["timing"], read_interfaces())))


def test_the_interfaces_come_with_it() -> None:
    assert "deps/theater-actor/types.wit" in actor_world([], read_interfaces())
