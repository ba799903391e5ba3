"""Guests in WAT: a small core module, and what lifts and lowers round it."""

from __future__ import annotations

REALLOC = """
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
      (local.set $r (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $r) (local.get 3)))
      (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
        (then (if (i32.eq (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get 3) (i32.const 65536))))
                          (i32.const -1)) (then unreachable))))
      (local.get $r))"""


def lift(name: str, signature: str = "", options: str = "") -> str:
    """Export the core function ``name`` of $m as a component function."""
    return f"""
  (alias core export $m "{name}" (core func ${name}'))
  (func (export "{name}") {signature} (canon lift (core func ${name}') {options}))"""


def guest(core: str, *lifts: str) -> str:
    """A component with one core module and no imports."""
    return f"(component (core module $M {core}) (core instance $m (instantiate $M)) {''.join(lifts)})"


MEMORY_LIFT = (
    '(alias core export $m "memory" (core memory $memory)) (alias core export $m "realloc" (core func $realloc))'
)
WITH_MEMORY = "(memory $memory) (realloc $realloc)"

MISBEHAVIOURS = guest(
    f"""(memory (export "memory") 2) {REALLOC}
    (table 1 1 funcref)
    (data (i32.const 1024) "\\ff\\fe\\80")
    (func (export "fine") (result i32) (i32.const 42))
    (func (export "loop") (loop (br 0)))
    (func $deep (export "deep") (call $deep))
    (func (export "unreachable") unreachable)
    (func (export "bounds") (drop (i32.load (i32.const 0x7ffffff0))))
    (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
    (func (export "overflow") (result i32) (i32.div_s (i32.const 0x80000000) (i32.const -1)))
    (func (export "convert") (result i32) (i32.trunc_f32_s (f32.const nan)))
    (func (export "indirect") (call_indirect (i32.const 0)))
    (func (export "eat") (result i32) (local $n i32)
      (loop $more (if (i32.ne (memory.grow (i32.const 16)) (i32.const -1))
        (then (local.set $n (i32.add (local.get $n) (i32.const 16))) (br $more)))) (local.get $n))
    (func (export "string") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "number") (param i32) (result i32) (local.get 0))""",
    MEMORY_LIFT,
    lift("fine", "(result u32)"),
    lift("loop"),
    lift("deep"),
    lift("unreachable"),
    lift("bounds"),
    lift("divide", '(param "by" s32) (result s32)'),
    lift("overflow", "(result s32)"),
    lift("convert", "(result s32)"),
    lift("indirect"),
    lift("eat", "(result u32)"),
    lift("string", '(param "at" u32) (param "size" u32) (result string)', WITH_MEMORY),
    """(alias core export $m "number" (core func $number'))
    (func (export "char") (param "v" u32) (result char) (canon lift (core func $number')))
    (func (export "u8") (param "v" u32) (result u8) (canon lift (core func $number')))
    (func (export "s8") (param "v" u32) (result s8) (canon lift (core func $number')))
    (func (export "bool") (param "v" u32) (result bool) (canon lift (core func $number')))
    """,
)
"""Each export goes wrong in its way, except ``fine``."""

IMPORTING = f"""(component
  (import "host-log" (func $log (param "text" string)))
  (import "host-ask" (func $ask (param "question" u32) (result string)))
  (core module $Memory (memory (export "memory") 4) {REALLOC} (data (i32.const 1024) "hello\\ff\\fe"))
  (core instance $m (instantiate $Memory))
  {MEMORY_LIFT}
  (core func $log' (canon lower (func $log) {WITH_MEMORY}))
  (core func $ask' (canon lower (func $ask) {WITH_MEMORY}))
  (core module $M
    (import "h" "log" (func $log (param i32 i32)))
    (import "h" "ask" (func $ask (param i32 i32)))
    (func (export "log") (param i32 i32) (call $log (local.get 0) (local.get 1)))
    (func (export "ask") (param i32) (result i32) (call $ask (local.get 0) (i32.const 64)) (i32.const 64))
    (func (export "ask-often") (param $n i32)
      (loop $more (if (i32.eqz (local.get $n)) (then (return)))
        (call $ask (local.get $n) (i32.const 64)) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $more)))
    (func (export "ask-then-loop") (call $ask (i32.const 1) (i32.const 64)) (loop (br 0)))
    (func $dig (export "dig-and-log") (param i32)
      (if (local.get 0) (then (call $dig (i32.sub (local.get 0) (i32.const 1))))
        (else (call $log (i32.const 1024) (i32.const 5)))))
    (func (export "log-for-ever") (loop (call $log (i32.const 1024) (i32.const 5)) (br 0)))
    (func (export "log-and-trap") (call $log (i32.const 1024) (i32.const 5)) unreachable))
  (core instance $i (instantiate $M (with "h" (instance (export "log" (func $log')) (export "ask" (func $ask'))))))
  (func (export "log") (param "at" u32) (param "size" u32) (canon lift (core func $i "log")))
  (func (export "ask") (param "question" u32) (result string) (canon lift (core func $i "ask") {WITH_MEMORY}))
  (func (export "ask-often") (param "n" u32) (canon lift (core func $i "ask-often")))
  (func (export "ask-then-loop") (canon lift (core func $i "ask-then-loop")))
  (func (export "dig-and-log") (param "depth" u32) (canon lift (core func $i "dig-and-log")))
  (func (export "log-for-ever") (canon lift (core func $i "log-for-ever")))
  (func (export "log-and-trap") (canon lift (core func $i "log-and-trap"))))"""
"""Calls the host: ``host-log`` answers nothing, ``host-ask`` may suspend."""


def is_ask(_interface: str, function: str) -> bool:
    """Links ``host-ask`` as suspending."""
    return function == "host-ask"


ACTOR = """(component
  (core module $M
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (global $count (mut i32) (i32.const 0))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
      (local.set $r (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $r) (local.get 3)))
      (local.get $r))
    ;; state, id: pointer and size; sender: tag, pointer, size; expects-reply; body: pointer and size
    (func (export "handle") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
      (global.set $next (i32.const 4096))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get 0)) (i32.store (i32.const 24) (local.get 1))
      (i32.store8 (i32.const 28) (i32.const 1))
      (i32.store (i32.const 32) (local.get 8)) (i32.store (i32.const 36) (local.get 9))
      (i32.const 16))
    (func (export "count") (result i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count)))
  (core instance $m (instantiate $M))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  (type $message' (record (field "id" string) (field "sender" (option string)) (field "expects-reply" bool)
    (field "body" string)))
  (type $outcome' (record (field "state" string) (field "reply" (option string))))
  (component $Interface
    (type $message' (record (field "id" string) (field "sender" (option string)) (field "expects-reply" bool)
      (field "body" string)))
    (type $outcome' (record (field "state" string) (field "reply" (option string))))
    (import "m" (type $message (eq $message')))
    (import "o" (type $outcome (eq $outcome')))
    (import "h" (func $h (param "state" string) (param "message" $message) (result (result $outcome (error string)))))
    (export $message2 "message" (type $message'))
    (export $outcome2 "outcome" (type $outcome'))
    (export "handle" (func $h)
      (func (param "state" string) (param "message" $message2) (result (result $outcome2 (error string))))))
  (func $handle (param "state" string) (param "message" $message') (result (result $outcome' (error string)))
    (canon lift (core func $m "handle") (memory $memory) (realloc $realloc)))
  (instance $i (instantiate $Interface
    (with "m" (type $message')) (with "o" (type $outcome')) (with "h" (func $handle))))
  (export "theater:actor/actor@0.1.0" (instance $i))
  (func (export "count") (result u32) (canon lift (core func $m "count"))))"""
"""An actor: answers with its state and the message's body."""

MESSAGE = {"id": "a" * 32, "sender": None, "expects-reply": True, "body": '{"by":2}'}
