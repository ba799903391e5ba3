"""Small guests as component text: one well-behaved, and one for each way not to be.

Each is the text of a component; an engine assembles it. What a guest looks for in a message it finds by scanning.
"""

from tests.guests.component import Import, actor, command
from tests.guests.imports import HEX, LOG, SELF, SHUTDOWN, SLEEP, SPLICING, STDOUT, WALL_CLOCK, WASI_RANDOM

# -- well-behaved ----------------------------------------------------------------------------------------------------

_COUNT = """
    (call $begin) (call $put @"{\\"count\\":")
    (call $put-number (i64.add
      (call $number (local.get $state) (local.get $state-len) @"\\"count\\"" (i64.const 0))
      (call $number (local.get $body) (local.get $body-len) @"\\"by\\"" (i64.const 0))))
    (call $put @"}")
    (call $ok (global.get $out) (global.get $out-len) (global.get $out) (global.get $out-len))"""

_COUNT_FROM_START = """
    (call $begin) (call $put @"{\\"count\\":")
    (call $put-number (call $number (local.get $params) (local.get $params-len) @"\\"start\\"" (i64.const 0)))
    (call $put @"}")
    (call $started (global.get $out) (global.get $out-len))"""


def _when(start: str, body: str) -> str:
    """Lines of ``handle`` for messages that begin with ``start``."""
    text = start.replace('"', '\\"')
    return f'(if (call $is (local.get $body) (local.get $body-len) @"{text}") (then {body}))\n    '


_TRAP = "unreachable"
_LOOP = "(loop $for-ever (br $for-ever))"
_GROW = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable"
_KEEP = "(local.get $state) (local.get $state-len)"

COUNTER = actor(init=_COUNT_FROM_START, handle=_COUNT)
"""``{"by":k}`` adds k to the state's ``count`` and answers ``{"count":n}``; ``init`` takes ``{"start":n}``."""

MOODY = actor(
    init=_COUNT_FROM_START,
    handle=_when('"refuse"', '(return (call $refuse @"not today"))')
    + _when('"trap"', _TRAP)
    + _when('"loop"', _LOOP)
    + _when('"grow"', _GROW)
    + _when('"deep"', "(drop (call $deep (i32.const 1)))")
    + _when('"not-json"', f'(return (call $ok {_KEEP} @"not json"))')
    + _when('"defer"', f"(return (call $silent {_KEEP}))")
    + _COUNT,
    more="""(func $deep (param i32) (result i32)
      (i32.add (local.get 0) (call $deep (i32.add (local.get 0) (i32.const 1)))))""",
)
"""A counter that does what one of these messages says: "refuse" "trap" "loop" "grow" "deep" "not-json" "defer"."""

ECHO = actor(handle=f"(call $ok {_KEEP} (local.get $body) (local.get $body-len))")
"""Answers with the message's body, exactly as it came."""

REMEMBER = actor(
    init="(call $started (local.get $params) (local.get $params-len))",
    handle=f"(call $ok (local.get $body) (local.get $body-len) {_KEEP})",
)
"""The body becomes the state, the state before it is the reply; ``init`` keeps its params."""

WHO = actor(
    handle=f"""
    (call $begin) (call $put @"{{\\"id\\":\\"") (call $put (local.get $id) (local.get $id-len))
    (call $put @"\\",\\"sender\\":")
    (if (local.get $has-sender)
      (then (call $put @"\\"") (call $put (local.get $sender) (local.get $sender-len)) (call $put @"\\""))
      (else (call $put @"null")))
    (call $put @",\\"expects-reply\\":")
    (if (local.get $expects-reply) (then (call $put @"true")) (else (call $put @"false")))
    (call $put @"}}")
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))"""
)
"""Answers with what else it knows of the message: ``{"id":..., "sender":..., "expects-reply":...}``."""

SILENT = actor(handle=f"(call $silent {_KEEP})")
"""Never replies: every request is deferred for ever."""

# -- refusing --------------------------------------------------------------------------------------------------------

REFUSE = actor(handle='(call $refuse @"not today")')
REFUSE_INIT = actor(init='(call $refuse @"not at all")', handle=f"(call $silent {_KEEP})")

# -- without an end, without a bound ---------------------------------------------------------------------------------

TRAP = actor(handle=_TRAP)
TRAP_INIT = actor(init=_TRAP, handle=_TRAP)
LOOP = actor(handle=f"{_LOOP} unreachable")
LOOP_INIT = actor(init=f"{_LOOP} unreachable", handle=_TRAP)
LOOP_START = actor(handle=_TRAP, more=f"(func $spin {_LOOP}) (start $spin)")
GROW = actor(handle=_GROW)
GROW_INIT = actor(init=_GROW, handle=_TRAP)
GROW_START = actor(handle=_TRAP, more=f"(func $eat {_GROW}) (start $eat)")
HUGE_MEMORY = actor(handle=_TRAP, pages=65_536)
"""Asks for 4 GiB before its first instruction."""
GROW_TABLE = actor(
    handle="""(loop $more
      (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 65536)) (i32.const -1)))) unreachable""",
    more="(table $t 0 funcref)",
)
DEEP = actor(
    handle="(drop (call $deep (i32.const 1))) unreachable",
    more="""(func $deep (param i32) (result i32)
      (i32.add (local.get 0) (call $deep (i32.add (local.get 0) (i32.const 1)))))""",
)

# -- answering what cannot be an answer ------------------------------------------------------------------------------


def answering(reply: str) -> str:
    """A guest that answers every message with this text (WAT's escapes stand for bytes) and keeps its state."""
    return actor(handle=f'(call $ok {_KEEP} @"{reply}")')


def becoming(state: str) -> str:
    """A guest whose state becomes this text (WAT's escapes stand for bytes) with its first message."""
    return actor(handle=f'(call $ok @"{state}" @"null")')


def nested(depth: int) -> str:
    """A guest that answers with so many arrays, one in the other."""
    return answering("[" * depth + "]" * depth)


NOT_JSON = answering("not json")
NOT_JSON_STATE = becoming("not json")
NOT_JSON_INIT = actor(init='(call $started @"{")', handle=_TRAP)
BAD_UTF8 = answering('\\"\\ff\\fe\\"')
BAD_UTF8_STATE = becoming('\\"\\ff\\fe\\"')
BAD_UTF8_REFUSAL = actor(handle='(call $refuse @"\\ff\\fe")')
OUT_OF_BOUNDS = actor(handle=f"(call $ok {_KEEP} (i32.const 65528) (i32.const 2147483647))")
"""Says that its reply is 2 GiB long, most of it beyond the end of its memory."""

_SIZED = """(local $size i32) (local $at i32)
    (local.set $size (i32.wrap_i64 (call $number (local.get $body) (local.get $body-len) @"\\"size\\"" (i64.const 0))))
    (local.set $at (call $reserve (local.get $size)))
    (memory.fill (local.get $at) (i32.const 120) (local.get $size))
    (i32.store8 (local.get $at) (i32.const 34))
    (i32.store8 (i32.add (local.get $at) (i32.sub (local.get $size) (i32.const 1))) (i32.const 34))
    """
BIG = actor(handle=f"{_SIZED} (call $ok {_KEEP} (local.get $at) (local.get $size))")
"""``{"size":n}``: a reply of n bytes (at least 2)."""
BIG_STATE = actor(handle=f'{_SIZED} (call $ok (local.get $at) (local.get $size) @"null")')
BIG_REFUSAL = actor(handle=f"{_SIZED} (call $refuse (local.get $at) (local.get $size))")

# -- calling the host ------------------------------------------------------------------------------------------------

LOGGER = actor(
    imports=[LOG],
    handle=f"""(local $left i64)
    (local.set $left (call $number (local.get $body) (local.get $body-len) @"\\"times\\"" (i64.const 1)))
    (loop $next
      (if (i64.gt_s (local.get $left) (i64.const 0)) (then
        (call $begin) (call $put-number (local.get $left)) (call $put @" to go")
        (call $log (i32.const 2) (global.get $out) (global.get $out-len))
        (local.set $left (i64.sub (local.get $left) (i64.const 1)))
        (br $next))))
    (call $ok {_KEEP} @"null")""",
)
"""``{"times":n}``: n calls of log, of which the last says "1 to go"."""

LOG_BOMB = actor(imports=[LOG], handle='(loop $more (call $log (i32.const 2) @"again") (br $more)) unreachable')
"""Logs a short line for ever."""

LOG_FLOOD = actor(
    imports=[LOG],
    pages=18,
    handle="""(memory.fill (i32.const 65536) (i32.const 120) (i32.const 1048576))
    (loop $more (call $log (i32.const 2) (i32.const 65536) (i32.const 1048576)) (br $more)) unreachable""",
)
"""Logs a line of 1 MiB for ever."""

LOG_THEN_TRAP = actor(imports=[LOG], handle='(call $log (i32.const 4) @"about to trap") unreachable')

CLOCK = actor(
    imports=[WALL_CLOCK],
    handle=f"""
    (call $now (i32.const 64))
    (call $begin) (call $put @"{{\\"seconds\\":") (call $put-number (i64.load (i32.const 64)))
    (call $put @",\\"nanoseconds\\":") (call $put-number (i64.load32_u (i32.const 72))) (call $put @"}}")
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
)
"""Answers with the time."""

RANDOM = actor(
    imports=[WASI_RANDOM],
    handle=f"""
    (call $begin) (call $put @"[") (call $put-number (i64.shr_u (call $get-random-u64) (i64.const 1)))
    (call $put @",") (call $put-number (i64.shr_u (call $get-random-u64) (i64.const 1))) (call $put @"]")
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
)
"""Answers with two random numbers of 63 bits, from WASI."""

RANDOM_HEX = actor(
    imports=[HEX],
    handle=f"""
    (call $random-hex
      (i32.wrap_i64 (call $number (local.get $body) (local.get $body-len) @"\\"size\\"" (i64.const 16))) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (call $refuse @"no bytes"))))
    (call $begin) (call $put @"\\"") (call $put (i32.load (i32.const 68)) (i32.load (i32.const 72))) (call $put @"\\"")
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
)
"""``{"size":n}``: answers with n random bytes in hex, from the capability ``random``."""

SLEEPER = actor(
    imports=[SLEEP, LOG],
    handle=f"""
    (call $log (i32.const 2) @"before")
    (call $sleep (call $number (local.get $body) (local.get $body-len) @"\\"ms\\"" (i64.const 10)) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (call $refuse @"no sleep"))))
    (call $log (i32.const 2) @"after")
    {_COUNT}""",
)
"""``{"ms":n}``: a counter that sleeps in its step, with a log line before and after; "no sleep" if that is denied."""

MYSELF = actor(
    imports=[SELF],
    handle=f"""
    (call $self (i32.const 64))
    (call $begin) (call $put @"\\"") (call $put (i32.load (i32.const 64)) (i32.load (i32.const 68))) (call $put @"\\"")
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
)
"""Answers with its own id."""

LAST_WORDS = actor(
    imports=[SHUTDOWN],
    handle=f"""
    (call $shutdown (i32.const 1) (local.get $body) (local.get $body-len) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (call $refuse @"no shutdown"))))
    (call $ok {_KEEP} @"\\"bye\\"")""",
)
"""Shuts down with the message's body as its value."""

HANDLE_BOMB = actor(imports=[STDOUT], handle="(loop $more (drop (call $get-stdout)) (br $more)) unreachable")
"""Takes handles for ever and drops none."""

HIDDEN = actor(
    handle=f"""
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (call $begin) (call $put-number (global.get $calls))
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
    more="(global $calls (mut i64) (i64.const 0))",
)
"""Answers how often this very instance was called: what a kept instance should not know."""

# -- commands --------------------------------------------------------------------------------------------------------

COMMAND = command("(i32.const 0)")
FAILING_COMMAND = command("(i32.const 1)")
REPEATER = command(
    """(local $in i32) (local $out i32)
    (local.set $in (call $get-stdin))
    (local.set $out (call $get-stdout))
    (loop $more
      (call $splice (local.get $out) (local.get $in) (i64.const 4096) (i32.const 64))
      (br_if $more (i32.eqz (i32.load8_u (i32.const 64)))))
    (i32.const 0)""",
    imports=SPLICING,
)
"""It writes what it reads."""
LOOPING_COMMAND = command(f"{_LOOP} unreachable")

# -- not to be loaded ------------------------------------------------------------------------------------------------

BAD_IMPORT = actor(
    imports=[Import("theater:actor/nonsense@0.1.0", "boom", "(result u32)", "(result i32)")],
    handle=f'(drop (call $boom)) (call $ok {_KEEP} @"null")',
)
STRANGER = actor(
    imports=[Import("vendor:thing/api@1.0.0", "boom", "(result u32)", "(result i32)")],
    handle=f'(drop (call $boom)) (call $ok {_KEEP} @"null")',
)
CORE = '(module (memory (export "memory") 1) (func (export "run") (result i32) (i32.const 0)))'
"""A core module: no component."""
EMPTY = "(component)"
"""A component that exports nothing."""
