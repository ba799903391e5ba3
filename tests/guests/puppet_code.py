"""The code (WAT) of a puppet: an interpreter of the little programs that ``tests.guests.puppet`` writes.

A program is a sequence of commands, a letter each and what it needs behind it. Texts in it are:

==================  ===================================================================================================
``t`` 8 digits …    so many bytes, as they stand
``x`` 8 digits …    so many hex digits
``q`` text          that text as a JSON string
``k`` texts ``)``   these texts, joined
``z`` digits ``;``  a JSON string of so many bytes
``a`` ``A`` ``h``   the last answer in short, in full, its first 32 bytes (an id)
``i`` ``s`` ``b``   the message's id, its sender ("" if none), its body as JSON
``w`` ``f`` ``l``   the state as JSON, the first and the last token of its log
``c`` ``v``         what the step is about (a channel, a child, a digest), the puppet's version
==================  ===================================================================================================

Numbers and other values stand as ``tests.guests.value_code`` says. No program has a quote, a backslash or anything
beyond ASCII in it, so that it is a JSON string once it stands between quotes.
"""

from collections.abc import Mapping

from tests.guests.abi import PARAMS_MAX, RESULTS_MAX, flat, layout, load, sequence
from tests.guests.value_code import ValueCode
from theater.model import wit

STATE_GLOBALS = ("state", "reply", "answer", "arg", "about", "id", "sender", "body", "refusal")

GLOBALS = "\n  ".join(
    [
        *(
            f"(global ${name} (mut i32) (i32.const 0)) (global ${name}-len (mut i32) (i32.const 0))"
            for name in STATE_GLOBALS
        ),
        "(global $short-len (mut i32) (i32.const 0)) ;; of the answer: up to the error's payload",
        "(global $has-reply (mut i32) (i32.const 0)) ;; whether the step replies",
        "(global $has-refused (mut i32) (i32.const 0))",
        "(global $at (mut i32) (i32.const 0)) ;; where in the program we are",
        "(global $end (mut i32) (i32.const 0))",
    ]
)

READERS = """
  (func $read-byte (result i32)
    (if (i32.ge_u (global.get $at) (global.get $end)) (then (unreachable)))
    (global.set $at (i32.add (global.get $at) (i32.const 1)))
    (i32.load8_u (i32.sub (global.get $at) (i32.const 1))))
  (func $read-number (result i64) (local $c i32) (local $n i64)
    (loop $next
      (local.set $c (call $read-byte))
      (if (i32.ne (local.get $c) (i32.const 59)) (then
        (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 10))
                               (i64.extend_i32_u (i32.sub (local.get $c) (i32.const 48)))))
        (br $next))))
    (local.get $n))
  (func $read-counted (local $left i32) (local $len i32)
    (local.set $left (i32.const 8))
    (loop $next
      (local.set $len (i32.add (i32.mul (local.get $len) (i32.const 10))
                               (i32.sub (call $read-byte) (i32.const 48))))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $set-arg (global.get $at) (local.get $len))
    (global.set $at (i32.add (global.get $at) (local.get $len)))
    (if (i32.gt_u (global.get $at) (global.get $end)) (then (unreachable))))
  (func $set-arg (param $text i32) (param $len i32)
    (global.set $arg (local.get $text)) (global.set $arg-len (local.get $len)))
  (func $set-answer (param $text i32) (param $len i32)
    (global.set $answer (local.get $text)) (global.set $answer-len (local.get $len))
    (global.set $short-len (local.get $len)))

  (func $hex-digit (param $c i32) (result i32)
    (if (result i32) (i32.ge_u (local.get $c) (i32.const 97))
      (then (i32.sub (local.get $c) (i32.const 87))) (else (i32.sub (local.get $c) (i32.const 48)))))
  (func $decode-hex (local $to i32) (local $i i32)
    (local.set $to (call $reserve (i32.div_u (global.get $arg-len) (i32.const 2))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (global.get $arg-len)))
      (i32.store8 (i32.add (local.get $to) (i32.div_u (local.get $i) (i32.const 2)))
        (i32.or
          (i32.shl (call $hex-digit (i32.load8_u (i32.add (global.get $arg) (local.get $i)))) (i32.const 4))
          (call $hex-digit (i32.load8_u offset=1 (i32.add (global.get $arg) (local.get $i))))))
      (local.set $i (i32.add (local.get $i) (i32.const 2)))
      (br $next)))
    (call $set-arg (local.get $to) (i32.div_u (global.get $arg-len) (i32.const 2))))

  (func $put-hex-digit (param $n i32)
    (call $put-byte (i32.add (local.get $n)
      (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $n) (i32.const 9))))))
  (func $put-escaped (param $text i32) (param $len i32) (local $i i32) (local $c i32) (local $from i32)
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $i) (local.get $len)))
      (local.set $c (i32.load8_u (i32.add (local.get $text) (local.get $i))))
      (if (i32.or (i32.lt_u (local.get $c) (i32.const 32))
                  (i32.or (i32.eq (local.get $c) (i32.const 34)) (i32.eq (local.get $c) (i32.const 92)))) (then
        (call $put (i32.add (local.get $text) (local.get $from)) (i32.sub (local.get $i) (local.get $from)))
        (local.set $from (i32.add (local.get $i) (i32.const 1)))
        (call $put @"\\\\")
        (if (i32.ge_u (local.get $c) (i32.const 32))
          (then (call $put-byte (local.get $c)))
          (else (call $put @"u00")
            (call $put-hex-digit (i32.shr_u (local.get $c) (i32.const 4)))
            (call $put-hex-digit (i32.and (local.get $c) (i32.const 15)))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (call $put (i32.add (local.get $text) (local.get $from)) (i32.sub (local.get $len) (local.get $from))))

  ;; What is being built when these are called goes on to be built: they put it aside.
  (func $read-quoted (local $out i32) (local $out-len i32)
    (call $read-text)
    (local.set $out (global.get $out)) (local.set $out-len (global.get $out-len))
    (call $begin)
    (call $put @"\\"") (call $put-escaped (global.get $arg) (global.get $arg-len)) (call $put @"\\"")
    (call $set-arg (global.get $out) (global.get $out-len))
    (global.set $out (local.get $out)) (global.set $out-len (local.get $out-len)))
  (func $read-joined (local $out i32) (local $out-len i32)
    (local.set $out (global.get $out)) (local.set $out-len (global.get $out-len))
    (call $begin)
    (block $done (loop $next
      (br_if $done (i32.eq (call $read-byte) (i32.const 41)))
      (global.set $at (i32.sub (global.get $at) (i32.const 1)))
      (call $read-text)
      (call $put (global.get $arg) (global.get $arg-len))
      (br $next)))
    (call $set-arg (global.get $out) (global.get $out-len))
    (global.set $out (local.get $out)) (global.set $out-len (local.get $out-len)))
  (func $make-filled (local $len i32) (local $to i32)
    (local.set $len (i32.wrap_i64 (call $read-number)))
    (local.set $to (call $reserve (local.get $len)))
    (memory.fill (local.get $to) (i32.const 120) (local.get $len))
    (i32.store8 (local.get $to) (i32.const 34))
    (i32.store8 (i32.add (local.get $to) (i32.sub (local.get $len) (i32.const 1))) (i32.const 34))
    (call $set-arg (local.get $to) (local.get $len)))
"""

LOG = """
  (func $state-is-log (result i32)
    (i32.and (i32.ge_u (global.get $state-len) (i32.const 2))
             (i32.eq (i32.load8_u (global.get $state)) (i32.const 34))))
  (func $log-text (result i32)
    (i32.add (global.get $state) (call $state-is-log)))
  (func $log-len (result i32)
    (if (result i32) (call $state-is-log)
      (then (i32.sub (global.get $state-len) (i32.const 2)))
      (else (if (result i32) (call $same (global.get $state) (global.get $state-len) @"0")
        (then (i32.const 0)) (else (global.get $state-len))))))
  (func $append (param $text i32) (param $len i32)
    (call $begin) (call $put @"\\"")
    (if (call $log-len) (then (call $put (call $log-text) (call $log-len)) (call $put @",")))
    (call $put-escaped (local.get $text) (local.get $len)) (call $put @"\\"")
    (global.set $state (global.get $out)) (global.set $state-len (global.get $out-len)))
  (func $comma (param $text i32) (param $len i32) (result i32) (local $i i32) ;; where the first one is, or the end
    (block $done (loop $next
      (br_if $done (i32.eq (local.get $i) (local.get $len)))
      (br_if $done (i32.eq (i32.load8_u (i32.add (local.get $text) (local.get $i))) (i32.const 44)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (local.get $i))
  (func $first-token
    (call $set-arg (call $log-text) (call $comma (call $log-text) (call $log-len))))
  (func $last-token (local $text i32) (local $len i32) (local $comma i32)
    (local.set $text (call $log-text)) (local.set $len (call $log-len))
    (block $done (loop $next
      (local.set $comma (call $comma (local.get $text) (local.get $len)))
      (br_if $done (i32.eq (local.get $comma) (local.get $len)))
      (local.set $text (i32.add (local.get $text) (i32.add (local.get $comma) (i32.const 1))))
      (local.set $len (i32.sub (local.get $len) (i32.add (local.get $comma) (i32.const 1))))
      (br $next)))
    (call $set-arg (local.get $text) (local.get $len)))
  (func $drop-first (local $text i32) (local $len i32)
    (call $first-token)
    (local.set $len (call $log-len))
    (local.set $text (i32.add (global.get $arg) (global.get $arg-len)))
    (local.set $len (i32.sub (local.get $len) (global.get $arg-len)))
    (if (local.get $len) (then ;; the comma
      (local.set $text (i32.add (local.get $text) (i32.const 1)))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))))
    (call $begin) (call $put @"\\"") (call $put (local.get $text) (local.get $len)) (call $put @"\\"")
    (global.set $state (global.get $out)) (global.set $state-len (global.get $out-len)))
  (func $count
    (if (call $state-is-log) (then (call $set-refusal @"the state is no number") (return)))
    (call $begin)
    (call $put-number
      (i64.add (i64.const 1) (call $number (global.get $state) (global.get $state-len) @"" (i64.const 0))))
    (global.set $state (global.get $out)) (global.set $state-len (global.get $out-len)))
  (func $second-colon (result i32) (local $i i32) ;; of the answer, or its end
    (local.set $i (i32.const 4)) ;; behind "err:"
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (global.get $answer-len)))
      (br_if $done (i32.eq (i32.load8_u (i32.add (global.get $answer) (local.get $i))) (i32.const 58)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (local.get $i))
  (func $same (param $text i32) (param $len i32) (param $other i32) (param $other-len i32) (result i32)
    (i32.and (i32.eq (local.get $len) (local.get $other-len))
      (call $is (local.get $text) (local.get $len) (local.get $other) (local.get $other-len))))
"""

_REGISTERS = {
    "a": "(call $set-arg (global.get $answer) (global.get $short-len))",
    "A": "(call $set-arg (global.get $answer) (global.get $answer-len))",
    "h": """(call $set-arg (global.get $answer)
      (select (i32.const 32) (global.get $answer-len) (i32.gt_u (global.get $answer-len) (i32.const 32))))""",
    "i": "(call $set-arg (global.get $id) (global.get $id-len))",
    "s": "(call $set-arg (global.get $sender) (global.get $sender-len))",
    "b": "(call $set-arg (global.get $body) (global.get $body-len))",
    "w": "(call $set-arg (global.get $state) (global.get $state-len))",
    "c": "(call $set-arg (global.get $about) (global.get $about-len))",
    "v": "(call $version)",
    "f": "(call $first-token)",
    "l": "(call $last-token)",
    "t": "(call $read-counted)",
    "x": "(call $read-counted) (call $decode-hex)",
    "q": "(call $read-quoted)",
    "k": "(call $read-joined)",
    "z": "(call $make-filled)",
}

_COMMANDS = {
    "@": "(call $call-host)",
    "r": """(call $read-text) (global.set $has-reply (i32.const 1))
      (global.set $reply (global.get $arg)) (global.set $reply-len (global.get $arg-len))""",
    "d": "(global.set $has-reply (i32.const 0))",
    "+": "(call $count)",
    "s": "(call $read-text) (global.set $state (global.get $arg)) (global.set $state-len (global.get $arg-len))",
    "l": "(call $read-text) (call $append (global.get $arg) (global.get $arg-len))",
    "p": "(call $drop-first)",
    "a": "(call $read-text) (call $set-answer (global.get $arg) (global.get $arg-len))",
    "!": "(call $read-text) (call $set-refusal (global.get $arg) (global.get $arg-len))",
    "?": """(call $read-text)
      (if (i32.eqz (call $same (global.get $answer) (global.get $short-len) (global.get $arg) (global.get $arg-len)))
        (then (global.set $at (global.get $end))))""",
    "*": """(local.set $left (call $read-number)) (call $read-text)
      (local.set $text (global.get $arg)) (local.set $len (global.get $arg-len))
      (block $enough (loop $again
        (br_if $enough (i64.eqz (local.get $left)))
        (br_if $enough (global.get $has-refused))
        (call $run (local.get $text) (local.get $len))
        (local.set $left (i64.sub (local.get $left) (i64.const 1)))
        (br $again)))""",
    "T": "unreachable",
    "L": "(loop $for-ever (br $for-ever))",
    "B": """(local.set $left (call $read-number))
      (block $burnt (loop $more
        (br_if $burnt (i64.eqz (local.get $left)))
        (local.set $left (i64.sub (local.get $left) (i64.const 1)))
        (br $more)))""",
    "M": "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
    "D": "(drop (call $deep (i32.const 1)))",
}

STEPS = """
  (func $deep (param i32) (result i32)
    (i32.add (local.get 0) (call $deep (i32.add (local.get 0) (i32.const 1)))))
  (func $set-refusal (param $text i32) (param $len i32)
    (global.set $has-refused (i32.const 1)) (global.set $at (global.get $end))
    (global.set $refusal (local.get $text)) (global.set $refusal-len (local.get $len)))
  (func $set-about (param $text i32) (param $len i32)
    (global.set $about (local.get $text)) (global.set $about-len (local.get $len)))
  (func $set-sender (param $text i32) (param $len i32)
    (global.set $sender (local.get $text)) (global.set $sender-len (local.get $len)))
  (func $step (param $state i32) (param $state-len i32)
    (global.set $state (local.get $state)) (global.set $state-len (local.get $state-len))
    (global.set $has-reply (i32.const 0)) (global.set $has-refused (i32.const 0))
    (call $set-answer @"") (call $set-about @"") (call $set-sender @"")
    (global.set $body-len (i32.const 0)) (global.set $id-len (i32.const 0)))
  (func $run-body (param $body i32) (param $len i32)
    (global.set $body (local.get $body)) (global.set $body-len (local.get $len))
    (if (i32.or (i32.lt_u (local.get $len) (i32.const 2)) (i32.ne (i32.load8_u (local.get $body)) (i32.const 34)))
      (then (call $set-refusal @"this is no program"))
      (else (call $run (i32.add (local.get $body) (i32.const 1)) (i32.sub (local.get $len) (i32.const 2))))))
  (func $end-with-state (result i32)
    (if (global.get $has-refused) (then (return (call $refuse (global.get $refusal) (global.get $refusal-len)))))
    (call $started (global.get $state) (global.get $state-len)))
  (func $end-with-outcome (result i32)
    (if (global.get $has-refused) (then (return (call $refuse (global.get $refusal) (global.get $refusal-len)))))
    (if (global.get $has-reply) (then (return
      (call $ok (global.get $state) (global.get $state-len) (global.get $reply) (global.get $reply-len)))))
    (call $silent (global.get $state) (global.get $state-len)))
"""


def interpreter(calls: Mapping[str, wit.Function], values: ValueCode, *, version: str) -> str:
    """Definitions for a core module that can make these calls, by what programs call them."""
    hosts = "".join(_call(name, function, values) for name, function in calls.items())
    choices = "".join(
        f'(if (call $same (local.get $name) (local.get $len) @"{name}") (then (return (call $call-{name}))))\n    '
        for name in calls
    )
    return f"""{GLOBALS}{READERS}{LOG}{STEPS}
  (func $version (call $set-arg @"{version}"))
  (func $read-text (local $kind i32)
    (local.set $kind (call $read-byte))
    {_chosen("kind", _REGISTERS)}
    unreachable)
  {hosts}
  (func $call-host (local $name i32) (local $len i32)
    (local.set $name (global.get $at))
    (block $done (loop $next
      (br_if $done (i32.eq (call $read-byte) (i32.const 59)))
      (local.set $len (i32.add (local.get $len) (i32.const 1)))
      (br $next)))
    {choices}
    (call $begin) (call $put @"this puppet does not import ") (call $put (local.get $name) (local.get $len))
    (call $set-refusal (global.get $out) (global.get $out-len)))
  (func $command (local $op i32) (local $text i32) (local $len i32) (local $left i64)
    (local.set $op (call $read-byte))
    {_chosen("op", _COMMANDS)}
    (call $set-refusal @"there is no such command"))
  (func $run (param $text i32) (param $len i32) (local $at i32) (local $end i32)
    (local.set $at (global.get $at)) (local.set $end (global.get $end))
    (global.set $at (local.get $text)) (global.set $end (i32.add (local.get $text) (local.get $len)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (global.get $at) (global.get $end)))
      (br_if $done (global.get $has-refused))
      (call $command)
      (br $next)))
    (global.set $at (local.get $at)) (global.set $end (local.get $end)))
"""


def _chosen(what: str, codes: Mapping[str, str]) -> str:
    return "\n    ".join(
        f"(if (i32.eq (local.get ${what}) (i32.const {ord(letter)})) (then {code} (return)))"
        for letter, code in codes.items()
    )


def _call(name: str, function: wit.Function, values: ValueCode) -> str:
    """``$call-NAME``: reads the arguments, calls the host, and makes a text of the answer."""
    types = [t for _, t in function.params]
    places, size, _ = sequence(types)
    base, answer = "(local.get $args)", "(local.get $answer)"
    reading = "".join(
        values.read(t, f"(i32.add {base} (i32.const {place}))") for t, place in zip(types, places, strict=True)
    )
    given = [each for t, place in zip(types, places, strict=True) for each in load(t, base, place)]
    if len(given) > PARAMS_MAX:
        given = [base]
    call = f"call $host-{name}"
    shown = '(call $put @"ok")'
    if function.result is not None:
        shown = values.show(function.result, answer)
        if len(flat(function.result)) > RESULTS_MAX:
            call = f"({call} {' '.join(given)} {answer})"
        else:
            assert flat(function.result) == ["i64"], name
            call = f"(i64.store {answer} ({call} {' '.join(given)}))"
    else:
        call = f"({call} {' '.join(given)})"
    room = layout(function.result)[0] if function.result is not None else 0
    is_error = f"(i32.load8_u {answer})" if isinstance(function.result, wit.Result) else "(i32.const 0)"
    return f"""
  (func $call-{name} (local $args i32) (local $answer i32)
    (local.set $args (call $reserve (i32.const {size})))
    {reading}
    (local.set $answer (call $reserve (i32.const {room})))
    {call}
    (call $begin) {shown}
    (call $set-answer (global.get $out) (global.get $out-len))
    (if {is_error} (then (global.set $short-len (call $second-colon)))))"""
