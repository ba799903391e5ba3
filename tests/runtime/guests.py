"""Guests for the tests of steps, beside those that everybody uses."""

from tests.guests.component import Import, actor
from tests.guests.imports import LOG, POLL, SHUTDOWN, SLEEP, SUBSCRIBE, WALL_CLOCK, WASI_RANDOM

GET_VARIABLE = Import(
    "theater:actor/environment@0.1.0",
    "get",
    '(param "name" string) (result (result (option string) (error $error)))',
    "(param i32 i32 i32)",
    types="""(type $e (variant (case "denied" string) (case "invalid-name") (case "other" string)))
      (export "error" (type $error (eq $e)))""",
)

_KEEP = "(local.get $state) (local.get $state-len)"
_PUT_TIME = """(call $now (i32.const 64))
    (call $put-number (i64.add (i64.mul (i64.load (i32.const 64)) (i64.const 1000000000))
      (i64.extend_i32_u (i32.load (i32.const 72)))))"""

WATCH = actor(
    imports=[WALL_CLOCK, SLEEP],
    handle=f"""
    (call $begin) (call $put @"[") {_PUT_TIME} (call $put @",") {_PUT_TIME}
    (call $sleep (call $number (local.get $body) (local.get $body-len) @"\\"ms\\"" (i64.const 10)) (i32.const 128))
    (call $put @",") {_PUT_TIME} (call $put @",") (call $put-number (i64.load8_u (i32.const 128))) (call $put @"]")
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
)
"""``{"ms":n}``: looks at the clock twice, sleeps, looks again: three times in nanoseconds; then 1 if it could not."""

NAPS = actor(
    imports=[SLEEP],
    handle=f"""(local $left i64) (local $failed i64)
    (local.set $left (call $number (local.get $body) (local.get $body-len) @"\\"naps\\"" (i64.const 1)))
    (loop $next
      (if (i64.gt_s (local.get $left) (i64.const 0)) (then
        (call $sleep (i64.const 1000) (i32.const 64))
        (local.set $failed (i64.add (local.get $failed) (i64.load8_u (i32.const 64))))
        (local.set $left (i64.sub (local.get $left) (i64.const 1)))
        (br $next))))
    (call $begin) (call $put-number (local.get $failed))
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
)
"""``{"naps":n}``: sleeps n times for a second; answers how often it could not."""

VARIABLE = actor(
    imports=[GET_VARIABLE],
    handle=f"""
    (call $get @"LANG" (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (return (call $refuse @"denied"))))
    (call $begin) (call $put @"\\"")
    (if (i32.load8_u (i32.const 68)) (then (call $put (i32.load (i32.const 72)) (i32.load (i32.const 76)))))
    (call $put @"\\"")
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
)
"""Answers with the variable LANG, or refuses where it may not know it."""

DIG = actor(
    imports=[LOG],
    handle=f"""(local $left i64)
    (if (call $is (local.get $body) (local.get $body-len) @"\\"first\\"") (then (call $log (i32.const 2) @"first")))
    (local.set $left (call $number (local.get $body) (local.get $body-len) @"\\"times\\"" (i64.const 20000000000)))
    (loop $next
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $next (i64.gt_s (local.get $left) (i64.const 0))))
    (call $log (i32.const 2) @"then")
    (call $ok {_KEEP} @"null")""",
)
"""``{"times":n}``: computes n rounds (else 20 billion) and logs "then"; to ``"first"``, it logs that before."""

EAGER = actor(
    init="(call $started (local.get $params) (local.get $params-len))",
    handle=f"""
    (call $begin) (call $put-number (global.get $started-at))
    (call $ok {_KEEP} (global.get $out) (global.get $out-len))""",
    more="""(global $started-at (mut i64) (i64.const 0))
    (func $warm-up (loop $next
      (global.set $started-at (i64.add (global.get $started-at) (i64.const 1)))
      (br_if $next (i64.lt_s (global.get $started-at) (i64.const 1000)))))
    (start $warm-up)""",
)
"""Spends fuel when it is instantiated, so that a step in a kept instance takes less than one in a fresh one."""

CHATTY = actor(
    imports=[LOG],
    handle="""
    (call $log (i32.const 2) @"one") (call $log (i32.const 2) @"two")
    (call $begin) (call $put @"{\\"count\\":")
    (call $put-number (i64.add (i64.const 1)
      (call $number (local.get $state) (local.get $state-len) @"\\"count\\"" (i64.const 0))))
    (call $put @"}")
    (call $ok (global.get $out) (global.get $out-len) (local.get $body) (local.get $body-len))""",
)
"""Counts its messages, answers with the body, and logs "one" and "two" each time."""

DREAM = actor(
    imports=[WASI_RANDOM, LOG, SLEEP],
    handle="""
    (call $begin) (call $put-number (i64.shr_u (call $get-random-u64) (i64.const 1)))
    (call $log (i32.const 2) (global.get $out) (global.get $out-len))
    (call $sleep (i64.const 1000) (i32.const 64))
    (call $begin) (call $put-number (i64.shr_u (call $get-random-u64) (i64.const 1)))
    (call $log (i32.const 2) (global.get $out) (global.get $out-len))
    (call $begin) (call $put @"\\"") (call $put (local.get $id) (local.get $id-len)) (call $put @"\\"")
    (call $ok (local.get $body) (local.get $body-len) (global.get $out) (global.get $out-len))""",
)
"""Logs a random number, sleeps for a second, logs another one, answers with the message's id; the body is its state."""

DOZE = actor(
    imports=[POLL, SUBSCRIBE, LOG],
    handle=f"""
    (i32.store (i32.const 64) (call $subscribe-duration (i64.const 500000000)))
    (i32.store (i32.const 68) (call $subscribe-duration (i64.const 1000000000)))
    (call $poll (i32.const 68) (i32.const 1) (i32.const 72))
    (call $log (i32.const 2) @"half awake")
    (i32.store (i32.const 68) (call $subscribe-duration (i64.const 1000000000)))
    (i32.store (i32.const 64) (call $subscribe-duration (i64.const 2000000000)))
    (call $poll (i32.const 64) (i32.const 2) (i32.const 72))
    (call $ok {_KEEP} (local.get $body) (local.get $body-len))""",
)
"""Sleeps twice for a second, as WASI does it; there are other timers, which it never drops."""

LEAVE = actor(
    imports=[SHUTDOWN],
    handle=f"""
    (call $shutdown (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
    (call $silent {_KEEP})""",
)
"""Shuts down without a value and without a reply."""

QUIT = actor(
    imports=[SHUTDOWN],
    handle="""
    (call $shutdown (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
    (if (call $is (local.get $body) (local.get $body-len) @"\\"refuse\\"") (then (return (call $refuse @"not yet"))))
    unreachable""",
)
"""Asks to be shut down, then refuses (``"refuse"``) or traps: what it asked for must not happen."""
