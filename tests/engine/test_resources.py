"""Resources that the host defines: numbers on our side, handles on the guest's."""

import pytest

from tests.engine.rig import RecordingHost, Rig
from theater.engine.introspect import ImportedResource
from theater.model import wit
from theater.model.execution import SUSPEND

THINGS = """(component
  (import "t:r/things@0.2.9" (instance $things
    (export "thing" (type $thing (sub resource)))
    (export "[constructor]thing" (func (param "size" u32) (result (own $thing))))
    (export "[method]thing.size" (func (param "self" (borrow $thing)) (result u32)))
    (export "[static]thing.join" (func (param "a" (own $thing)) (param "b" (own $thing)) (result (own $thing))))))
  (alias export $things "thing" (type $thing))
  (import "t:r/users" (instance $users
    (alias outer 1 $thing (type $outer))
    (export "thing" (type $again (eq $outer)))
    (export "look" (func (param "a-thing" (borrow $again)) (result u32)))))
  (alias export $things "[constructor]thing" (func $new))
  (alias export $things "[method]thing.size" (func $size))
  (alias export $things "[static]thing.join" (func $join))
  (alias export $users "look" (func $look))
  (core func $new' (canon lower (func $new)))
  (core func $size' (canon lower (func $size)))
  (core func $join' (canon lower (func $join)))
  (core func $look' (canon lower (func $look)))
  (core func $drop' (canon resource.drop $thing))
  (core module $M
    (import "h" "new" (func $new (param i32) (result i32)))
    (import "h" "size" (func $size (param i32) (result i32)))
    (import "h" "join" (func $join (param i32 i32) (result i32)))
    (import "h" "look" (func $look (param i32) (result i32)))
    (import "h" "drop" (func $drop (param i32)))
    (func (export "use") (result i32) (local $t i32)
      (local.set $t (call $join (call $new (i32.const 3)) (call $new (i32.const 4))))
      (i32.add (call $size (local.get $t)) (call $look (local.get $t)))
      (call $drop (local.get $t)))
    (func (export "pass") (param i32) (result i32) (local.get 0))
    (func (export "peek") (param i32) (result i32) (call $size (local.get 0)) (call $drop (local.get 0)))
    (func (export "keep-borrow") (param i32))
    (func (export "bogus") (call $drop (i32.const 77)))
    (func (export "bomb") (loop (drop (call $new (i32.const 1))) (br 0))))
  (core instance $i (instantiate $M (with "h" (instance
    (export "new" (func $new')) (export "size" (func $size')) (export "join" (func $join'))
    (export "look" (func $look')) (export "drop" (func $drop'))))))
  (func (export "use") (result u32) (canon lift (core func $i "use")))
  (func (export "pass") (param "t" (own $thing)) (result (own $thing)) (canon lift (core func $i "pass")))
  (func (export "peek") (param "t" (borrow $thing)) (result u32) (canon lift (core func $i "peek")))
  (func (export "keep-borrow") (param "t" (borrow $thing)) (canon lift (core func $i "keep-borrow")))
  (func (export "bogus") (canon lift (core func $i "bogus")))
  (func (export "bomb") (canon lift (core func $i "bomb"))))"""


class Things(RecordingHost):
    """Sizes by number."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        super().call(interface, function, args)
        numbers = [a for a in args if isinstance(a, int)]
        match function:
            case "[constructor]thing":
                return self._add(numbers[0])
            case "[static]thing.join":
                return self._add(sum(self.sizes.pop(n) for n in numbers))
            case "[method]thing.size" | "look":
                return self.sizes[numbers[0]]
        return None

    def _add(self, size: int) -> int:
        self.sizes[len(self.calls)] = size
        return len(self.calls)


def test_a_resource_is_one_wherever_it_is_named(rig: Rig) -> None:
    program = rig.load(THINGS)
    assert program._shape.resources == (
        ImportedResource("t:r/things@0.2.9", "thing", 1),
        ImportedResource("t:r/users", "thing", 1),
    )
    assert program.imported_interfaces == ("t:r/things@0.2.9", "t:r/users")
    by_name = {f.name: f.type for f in program.imports}
    assert by_name["look"] == wit.Function((("a-thing", wit.Handle(1, owned=False)),), wit.Primitive("u32"))
    assert program.exports["", "pass"].result == wit.Handle(1, owned=True)


def test_constructors_methods_statics_and_drops_reach_the_host_in_order(rig: Rig) -> None:
    host = Things()
    assert rig.run(rig.load(THINGS), "use", host=host).result == 14
    assert host.calls == [
        ("t:r/things", "[constructor]thing", (3,)),
        ("t:r/things", "[constructor]thing", (4,)),
        ("t:r/things", "[static]thing.join", (1, 2)),
        ("t:r/things", "[method]thing.size", (3,)),
        ("t:r/users", "look", (3,)),
        ("t:r/things", "[resource-drop]thing", (3,)),
    ]


def test_handles_go_in_and_out_of_exports(rig: Rig) -> None:
    host = Things()
    host.sizes[9] = 90
    program = rig.load(THINGS)
    assert rig.run(program, "pass", 9, host=host).result == 9
    assert rig.run(program, "pass", 2**32 - 1, host=host).result == 2**32 - 1
    assert rig.run(program, "peek", 9, host=host).result == 90
    crash = rig.run(program, "pass", 2**32, host=host).crash
    assert crash is not None
    assert "expected a resource's number" in crash.message


class SlowThings(Things):
    """Lets the guest wait for what it constructs."""

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        return SUSPEND if function == "[constructor]thing" else super().call(interface, function, args)


def test_a_suspending_constructor_works(rig: Rig) -> None:
    host = SlowThings()
    program = rig.load(THINGS, lambda _, function: function == "[constructor]thing")
    running = rig.begin(program, "use", host=host)
    for number in (50, 60):
        running.waiting()
        host.sizes[number] = number
        running.execution.resume(number)
    assert running.closed().result == 220


@pytest.mark.parametrize(
    ("function", "reason", "code"),
    [("bogus", "trap", "unknown-handle"), ("keep-borrow", "trap", "borrow-not-dropped")],
)
def test_misused_handles_are_traps(rig: Rig, function: str, reason: str, code: str) -> None:
    args = (1,) if function == "keep-borrow" else ()
    crash = rig.run(rig.load(THINGS), function, *args, host=Things()).crash
    assert crash is not None
    assert (crash.reason, crash.code) == (reason, code), crash.message


@pytest.mark.slow
def test_a_handle_bomb_is_a_handles_crash(rig: Rig) -> None:
    crash = rig.run(rig.load(THINGS), "bomb", host=Things()).crash
    assert crash is not None
    assert (crash.reason, crash.code) == ("handles", "handle-limit"), crash.message


def test_a_drop_that_raises_ends_the_call(rig: Rig) -> None:
    class Failing(Things):
        def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
            if function == "[resource-drop]thing":
                raise SystemExit("no")
            return super().call(interface, function, args)

    crash = rig.run(rig.load(THINGS), "use", host=Failing()).crash
    assert crash is not None
    assert crash.reason == "internal"
    assert "SystemExit" in crash.message
