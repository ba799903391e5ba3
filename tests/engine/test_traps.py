from collections.abc import Callable

import pytest

from tests.engine.guests import IMPORTING, MEMORY_LIFT, MISBEHAVIOURS, REALLOC, WITH_MEMORY, guest, is_ask, lift
from tests.engine.rig import LIMITS, RecordingHost, Rig, nothing_waits, raises, suspends
from theater.engine.symbols import Symbols
from theater.engine.traps import crash_from
from theater.errors import InvalidComponent
from theater.model.crash import Crash, StepCrash, StepExit
from theater.model.execution import ExecutionLimits


def _crash(rig: Rig, wat: str, function: str, *args: object, limits: ExecutionLimits = LIMITS) -> Crash:
    program = rig.load(wat)
    crash = rig.run(program, function, *args, limits=limits).crash
    assert crash is not None
    assert rig.run(rig.load(MISBEHAVIOURS), "fine").result == 42  # the process lives, the next call runs
    return crash


@pytest.mark.parametrize(
    ("function", "args", "reason", "code"),
    [
        ("unreachable", (), "trap", "unreachable"),
        ("bounds", (), "trap", "out-of-bounds-memory-access"),
        ("divide", (0,), "trap", "integer-divide-by-zero"),
        ("overflow", (), "trap", "integer-overflow"),
        ("convert", (), "trap", "invalid-conversion-to-integer"),
        ("indirect", (), "trap", "uninitialized-element"),
        ("deep", (), "stack", "stack"),
        ("string", (1024, 3), "trap", "invalid-utf8"),
        ("string", (0x7FFF_0000, 100), "trap", "out-of-bounds-pointer"),
        ("string", (1024, 2**32 - 1), "trap", "out-of-bounds-pointer"),
        ("char", (0xD800,), "trap", "invalid-char"),
        ("char", (0x11_0000,), "trap", "invalid-char"),
    ],
)
def test_each_misbehaviour_has_its_reason_and_code(
    rig: Rig, function: str, args: tuple[object, ...], reason: str, code: str
) -> None:
    crash = _crash(rig, MISBEHAVIOURS, function, *args)
    assert (crash.reason, crash.code) == (reason, code), crash


def test_an_endless_loop_ends_when_its_fuel_does(rig: Rig) -> None:
    limits = ExecutionLimits(fuel=100_000, memory_bytes=LIMITS.memory_bytes, deadline_s=10)
    closed = rig.run(rig.load(MISBEHAVIOURS), "loop", limits=limits)
    assert closed.crash is not None
    assert (closed.crash.reason, closed.fuel_used) == ("fuel", 100_000)


@pytest.mark.parametrize("reason", ["fuel", "deadline"])
def test_an_endless_loop_in_a_start_function_ends(rig: Rig, reason: str) -> None:
    wat = guest('(func $s (loop (br 0))) (start $s) (func (export "f"))', lift("f"))
    limits = ExecutionLimits(10_000 if reason == "fuel" else LIMITS.fuel, LIMITS.memory_bytes, deadline_s=0.02)
    assert _crash(rig, wat, "f", limits=limits).reason == reason


def test_memory_grows_to_the_limit_and_the_guest_is_told(rig: Rig) -> None:
    closed = rig.run(rig.load(MISBEHAVIOURS), "eat")
    assert closed.crash is None
    assert isinstance(closed.result, int)
    assert closed.result * 65536 < LIMITS.memory_bytes
    assert closed.result * 65536 > LIMITS.memory_bytes * 0.9


def test_memory_that_is_too_large_from_the_start_is_a_memory_crash(rig: Rig) -> None:
    crash = _crash(rig, guest('(memory 2000) (func (export "f"))', lift("f")), "f")
    assert (crash.reason, crash.code) == ("memory", "memory-minimum")


def test_several_memories_share_the_limit(rig: Rig) -> None:
    def component(pages: int) -> str:
        modules = "".join(f"(core module $A{i} (memory {pages})) (core instance (instantiate $A{i}))" for i in range(3))
        main = '(core module $M (func (export "f"))) (core instance $m (instantiate $M))'
        return f"(component {modules} {main} {lift('f')})"

    assert rig.run(rig.load(component(300)), "f").crash is None  # 3 x 19 MiB
    crash = _crash(rig, component(400), "f")  # 3 x 25 MiB
    assert (crash.reason, crash.code) == ("memory", "memory-minimum")


def test_a_module_instantiated_twice_may_not_double_its_memory(rig: Rig) -> None:
    wat = f"""(component (core module $A (memory 900)) (core instance (instantiate $A)) (core instance (instantiate $A))
      (core module $M (func (export "f"))) (core instance $m (instantiate $M)) {lift("f")})"""
    crash = _crash(rig, wat, "f")
    assert (crash.reason, crash.code) == ("memory", "memory-count")


@pytest.mark.slow  # refused only after it was compiled again
@pytest.mark.parametrize("core", ["(table 10000000 funcref)", "(table 1 funcref)" * 25])
def test_table_bombs_are_refused_when_they_are_loaded(rig: Rig, core: str) -> None:
    with pytest.raises(InvalidComponent, match=r"(?s)needs more than an instance may have.*table"):
        rig.load(guest(f'{core} (func (export "f"))', lift("f")))
    assert rig.run(rig.load(MISBEHAVIOURS), "fine").result == 42


def test_a_table_grows_to_its_limit_only(rig: Rig) -> None:
    core = '(table 1 funcref) (func (export "f") (result i32) (table.grow 0 (ref.null func) (i32.const 200000)))'
    assert rig.run(rig.load(guest(core, lift("f", "(result s32)"))), "f").result == -1


def test_an_instance_bomb_is_a_memory_crash(rig: Rig) -> None:
    wat = f"""(component (core module $A) {"(core instance (instantiate $A))" * 300}
      (core module $M (func (export "f"))) (core instance $m (instantiate $M)) {lift("f")})"""
    crash = _crash(rig, wat, "f")
    assert (crash.reason, crash.code) == ("memory", "instance-count")


def test_a_list_that_names_one_string_a_million_times_is_a_host_data_crash(rig: Rig) -> None:
    core = f"""(memory (export "memory") 900) {REALLOC} (func (export "f") (result i32) (local $k i32)
      (loop $l
        (i32.store (i32.add (i32.const 2000000) (i32.mul (local.get $k) (i32.const 8))) (i32.const 1024))
        (i32.store (i32.add (i32.const 2000004) (i32.mul (local.get $k) (i32.const 8))) (i32.const 1000000))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $k) (i32.const 1000))))
      (i32.store (i32.const 16) (i32.const 2000000)) (i32.store (i32.const 20) (i32.const 1000)) (i32.const 16))"""
    wat = guest(core, MEMORY_LIFT, lift("f", "(result (list string))", WITH_MEMORY))
    assert _crash(rig, wat, "f").reason == "host-data"


def test_a_realloc_that_lies_is_a_trap(rig: Rig) -> None:
    core = """(memory (export "memory") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const -8))
      (func (export "f") (param i32 i32))"""
    wat = guest(core, MEMORY_LIFT, lift("f", '(param "s" string)', WITH_MEMORY))
    crash = _crash(rig, wat, "f", "text")
    assert (crash.reason, crash.code) == ("trap", "bad-realloc")


def test_bad_text_for_the_host_never_reaches_it(rig: Rig) -> None:
    for at, size, code in ((1024, 7, "invalid-utf8"), (0x7FFF_0000, 9, "out-of-bounds-pointer")):
        host = RecordingHost()
        crash = rig.run(rig.load(IMPORTING), "log", at, size, host=host).crash
        assert crash is not None
        assert (crash.reason, crash.code) == ("trap", code)
        assert not host.calls


def test_deep_recursion_then_a_host_call_that_recurses_itself(rig: Rig) -> None:
    def deep(n: int) -> int:
        return 0 if n == 0 else 1 + deep(n - 1)

    host = RecordingHost(lambda *_: deep(500) and None)
    program = rig.load(IMPORTING)
    reasons = set()
    for depth in (1_000, 20_000, 40_000, 60_000, 100_000, 1_000_000):
        crash = rig.run(program, "dig-and-log", depth, host=host).crash
        reasons.add(crash.reason if crash else "fine")
    assert reasons == {"fine", "stack"}


def test_a_host_function_that_recurses_for_ever_is_our_crash(rig: Rig) -> None:
    def endless(n: int) -> int:
        return endless(n + 1)

    host = RecordingHost(lambda *_: endless(0))
    crash = rig.run(rig.load(IMPORTING), "log", 1024, 5, host=host).crash
    assert crash is not None
    assert crash.reason == "internal"
    assert "RecursionError" in crash.message


@pytest.mark.parametrize("link", [nothing_waits, is_ask])
@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError()]
)
def test_whatever_a_host_function_raises_ends_its_own_call_only(
    rig: Rig, error: BaseException, link: Callable[[str, str], bool]
) -> None:
    program = rig.load(IMPORTING, link)
    innocent = rig.begin(rig.load(IMPORTING, is_ask), "ask", 1, host=suspends())
    innocent.waiting()
    crash = rig.run(program, "ask", 1, host=raises(error)).crash
    assert crash is not None
    assert (crash.reason, crash.code) == ("internal", "internal")
    assert type(error).__name__ in crash.message
    innocent.execution.resume("unharmed")
    assert innocent.closed().result == "unharmed"


@pytest.mark.parametrize("link", [nothing_waits, is_ask])
def test_a_step_crash_of_a_host_function_is_the_calls_crash(rig: Rig, link: Callable[[str, str], bool]) -> None:
    program = rig.load(IMPORTING, link)
    crash = rig.run(program, "ask", 1, host=raises(StepCrash("events", "too many of them"))).crash
    assert crash is not None
    assert (crash.reason, crash.message) == ("events", "too many of them")
    assert "wasm-function[" in crash.backtrace


def test_an_exit_closes_without_a_crash(rig: Rig) -> None:
    for status in (0, 1, 3):
        closed = rig.run(rig.load(IMPORTING), "log", 1024, 5, host=raises(StepExit(status)), keep=True)
        assert (closed.crash, closed.exit_status, closed.instance) == (None, status, None)


def test_a_tick_that_raises_ends_the_call(rig: Rig) -> None:
    class Host(RecordingHost):
        def tick(self) -> None:
            raise StepCrash("bytes", "enough")

    crash = rig.run(rig.load(MISBEHAVIOURS), "loop", host=Host()).crash
    assert crash is not None
    assert (crash.reason, crash.message) == ("bytes", "enough")


def test_suspending_where_it_was_not_linked_so_is_our_bug(rig: Rig) -> None:
    crash = rig.run(rig.load(IMPORTING), "ask", 1, host=suspends()).crash
    assert crash is not None
    assert "answered SUSPEND in a function that was not linked as suspending" in crash.message


def test_a_trap_within_a_call_of_the_host_frees_everything(rig: Rig) -> None:
    host = RecordingHost()
    crash = rig.run(rig.load(IMPORTING), "log-and-trap", host=host).crash
    assert crash is not None
    assert (crash.reason, crash.code) == ("trap", "unreachable")
    assert host.calls == [("", "host-log", ("hello",))]


def test_a_backtrace_has_the_names_of_the_file(rig: Rig) -> None:
    wat = guest('(func $inner unreachable) (func $outer (export "f") (call $inner))', lift("f"))
    crash = _crash(rig, wat, "f")
    first, second = crash.backtrace.splitlines()
    assert first.endswith(" inner")
    assert second.endswith(" outer")
    assert crash.message == "wasm trap: wasm `unreachable` instruction executed"


def test_names_of_several_modules_and_nested_components_are_told_apart(rig: Rig) -> None:
    wat = f"""(component
      (component $C (core module $A (func $first) (func $alpha (export "f") unreachable))
        (core instance $a (instantiate $A)) (func (export "f") (canon lift (core func $a "f"))))
      (instance $c (instantiate $C)) (alias export $c "f" (func $f)) (core func $f' (canon lower (func $f)))
      (core module $M (import "" "f" (func $f)) (func $beta (export "g") (call $f)))
      (core instance $m (instantiate $M (with "" (instance (export "f" (func $f')))))) {lift("g")})"""
    crash = _crash(rig, wat, "g")
    assert [line.split()[-1] for line in crash.backtrace.splitlines() if "wasm-function" not in line] == [
        "alpha",
        "beta",
    ]


def test_a_name_that_looks_like_a_cause_does_not_become_one(rig: Rig) -> None:
    name = "evil\\0a\\0aCaused by:\\0a    wasm trap: interrupt"
    wat = guest(f'(func $f (@name "{name}") (export "f") unreachable)', lift("f"))
    crash = _crash(rig, wat, "f")
    assert (crash.reason, crash.code) == ("trap", "unreachable")
    assert "\n" not in crash.backtrace
    assert "Caused by" in crash.backtrace


def test_the_last_cause_decides() -> None:
    symbols = Symbols.__new__(Symbols)
    symbols._modules = ()
    text = "error\n\nCaused by:\n    wasm trap: interrupt\n\nCaused by:\n    wasm trap: integer divide by zero"
    assert crash_from(text, symbols).code == "integer-divide-by-zero"


@pytest.mark.slow
def test_names_of_twenty_megabytes_cost_nothing(rig: Rig) -> None:
    name = "x" * 20_000_000
    wat = guest(f'(func $f (@name "{name}") (export "f") (call $f))', lift("f"))
    crash = _crash(rig, wat, "f")
    assert crash.reason == "stack"
    assert len(crash.backtrace) < 8192


def test_the_crash_of_a_component_whose_file_is_gone_has_numbers_for_names(rig: Rig) -> None:
    wat = guest('(func $gone (export "f") unreachable)', lift("f"))
    path, digest = rig.file(wat)
    program = rig.engine.load(path, digest, is_suspending=nothing_waits)
    path.unlink()
    crash = rig.run(program, "f").crash
    assert crash is not None
    assert crash.backtrace.endswith("wasm-function[0]")
