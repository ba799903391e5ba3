"""Component text around a hand-written core module: what a test guest needs besides the lines that make it special.

``actor(handle=..., init=...)`` makes a component with the real interface from the bodies of its two functions. In a
body these are at hand (strings are always two values, where and how long):

========================================  =============================================================================
``@"text"``                               a constant string; the text has WAT's escapes
``$params`` ``$params-len``               init's argument
``$state`` ``$id`` ``$sender`` ``$body``  handle's arguments, each with its ``-len``; also ``$has-sender``,
                                          ``$expects-reply``
``$ok state [reply]``                     the outcome of init (``$started state``) and of handle (``$ok state reply``,
                                          ``$silent state``); each returns what the function has to return
``$refuse text``                          a refusal, from either
``$begin`` ``$put text`` ``$put-number``  build a text; it is at ``$out``, ``$out-len``
``$number text key default``              the integer behind a key, found by scanning
``$is text start``                        whether a text starts with another one
========================================  =============================================================================

A host function is called by its name, as declared in ``imports``; what it returns may be put at 64 (64 bytes). The heap
is given back after each call, so that a kept instance is like a fresh one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

TYPES = "theater:actor/types@0.1.0"
ACTOR = "theater:actor/actor@0.1.0"

RESULT_AT = 16
LITERALS_AT = 1024  # below: one byte to print, the result of the call (24 bytes from 16), results of the host (from 64)

_LITERAL = re.compile(r'@"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb'\\([0-9a-fA-F]{2}|["\\nrt])')
_SIMPLE_ESCAPES = {b'"': b'"', b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported function: in the component's words, and in the core module's.

    ``types`` stand before the function in the instance's type, where it needs some of its own; ``before`` stands before
    the instance. The core function is called by the function's own name, or ``called`` otherwise. One that
    ``drops`` lets go of the resource of its name, and is no function of the instance.
    """

    interface: str
    name: str
    type: str
    core: str
    types: str = ""
    before: str = ""
    called: str = ""
    drops: bool = False

    @property
    def core_name(self) -> str:
        """What it is called in the core module."""
        return self.called or self.name


# The memory is in a module of its own: the host's functions need it before the main module can be made.
STORAGE = """
  (core module $storage-module
    (memory (export "memory") {pages})
    (global $heap (export "heap") (mut i32) (i32.const {heap}))
    (func $reserve (export "reserve") (param $size i32) (result i32) (local $at i32) (local $missing i32)
      (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
      (global.set $heap (i32.add (local.get $at) (local.get $size)))
      (local.set $missing
        (i32.sub (i32.shr_u (i32.add (global.get $heap) (i32.const 65535)) (i32.const 16)) (memory.size)))
      (if (i32.gt_s (local.get $missing) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (unreachable)))))
      (local.get $at))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (call $reserve (local.get $size)))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      (local.get $at))
    (func (export "post-return") (param i32) (global.set $heap (i32.const {heap}))))
  (core instance $storage (instantiate $storage-module))
  (alias core export $storage "memory" (core memory $memory))
  (alias core export $storage "realloc" (core func $realloc))
  (alias core export $storage "post-return" (core func $post-return))
"""

PRELUDE = """
  (global $out (mut i32) (i32.const 0))
  (global $out-len (mut i32) (i32.const 0))

  (func $begin
    (global.set $out (call $reserve (i32.const 0)))
    (global.set $out-len (i32.const 0)))
  (func $put (param $text i32) (param $len i32)
    (global.set $heap (i32.add (global.get $out) (global.get $out-len))) ;; not rounded up: the text goes on here
    (drop (call $reserve (i32.add (local.get $len) (i32.const 8))))
    (memory.copy (i32.add (global.get $out) (global.get $out-len)) (local.get $text) (local.get $len))
    (global.set $out-len (i32.add (global.get $out-len) (local.get $len))))
  (func $put-byte (param $byte i32)
    (i32.store8 (i32.const 0) (local.get $byte))
    (call $put (i32.const 0) (i32.const 1)))
  (func $put-number (param $n i64)
    (if (i64.lt_s (local.get $n) (i64.const 0))
      (then (call $put-byte (i32.const 45)) (local.set $n (i64.sub (i64.const 0) (local.get $n)))))
    (if (i64.ge_u (local.get $n) (i64.const 10))
      (then (call $put-number (i64.div_u (local.get $n) (i64.const 10)))))
    (call $put-byte (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10))))))

  (func $is (param $text i32) (param $len i32) (param $start i32) (param $start-len i32) (result i32) (local $i i32)
    (if (i32.lt_u (local.get $len) (local.get $start-len)) (then (return (i32.const 0))))
    (loop $next
      (if (i32.eq (local.get $i) (local.get $start-len)) (then (return (i32.const 1))))
      (if (i32.ne (i32.load8_u (i32.add (local.get $text) (local.get $i)))
                  (i32.load8_u (i32.add (local.get $start) (local.get $i)))) (then (return (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next))
    (unreachable))

  (func $number (param $text i32) (param $len i32) (param $key i32) (param $key-len i32) (param $default i64)
    (result i64)
    (local $end i32) (local $c i32) (local $n i64) (local $negative i32)
    (local.set $end (i32.add (local.get $text) (local.get $len)))
    (block $found (loop $seek
      (if (i32.ge_u (local.get $text) (local.get $end)) (then (return (local.get $default))))
      (br_if $found (call $is (local.get $text) (i32.sub (local.get $end) (local.get $text))
                              (local.get $key) (local.get $key-len)))
      (local.set $text (i32.add (local.get $text) (i32.const 1)))
      (br $seek)))
    (local.set $text (i32.add (local.get $text) (local.get $key-len)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $text) (local.get $end)))
      (local.set $c (i32.load8_u (local.get $text)))
      (local.set $text (i32.add (local.get $text) (i32.const 1)))
      (br_if $next (i32.eq (local.get $c) (i32.const 32)))  ;; blank
      (br_if $next (i32.eq (local.get $c) (i32.const 58)))  ;; colon
      (if (i32.eq (local.get $c) (i32.const 45)) (then (local.set $negative (i32.const 1)) (br $next)))
      (local.set $c (i32.sub (local.get $c) (i32.const 48)))
      (br_if $done (i32.gt_u (local.get $c) (i32.const 9)))
      (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 10)) (i64.extend_i32_u (local.get $c))))
      (br $next)))
    (if (result i64) (local.get $negative)
      (then (i64.sub (i64.const 0) (local.get $n))) (else (local.get $n))))

  (func $result (param $tag i32) (param $text i32) (param $len i32) (result i32)
    (i32.store8 (i32.const {result}) (local.get $tag))
    (i32.store offset=4 (i32.const {result}) (local.get $text))
    (i32.store offset=8 (i32.const {result}) (local.get $len))
    (i32.store8 offset=12 (i32.const {result}) (i32.const 0))
    (i32.const {result}))
  (func $started (param $state i32) (param $state-len i32) (result i32)
    (call $result (i32.const 0) (local.get $state) (local.get $state-len)))
  (func $silent (param $state i32) (param $state-len i32) (result i32)
    (call $result (i32.const 0) (local.get $state) (local.get $state-len)))
  (func $ok (param $state i32) (param $state-len i32) (param $reply i32) (param $reply-len i32) (result i32)
    (drop (call $result (i32.const 0) (local.get $state) (local.get $state-len)))
    (i32.store8 offset=12 (i32.const {result}) (i32.const 1))
    (i32.store offset=16 (i32.const {result}) (local.get $reply))
    (i32.store offset=20 (i32.const {result}) (local.get $reply-len))
    (i32.const {result}))
  (func $refuse (param $text i32) (param $len i32) (result i32)
    (call $result (i32.const 1) (local.get $text) (local.get $len)))
"""

TYPES_IMPORT = f"""
  (import "{TYPES}" (instance $types
    (type $s string)
    (export "json" (type $json (eq $s)))
    (export "actor-id" (type $actor-id (eq $s)))
    (type $m (record (field "id" string) (field "sender" (option $actor-id)) (field "expects-reply" bool)
                     (field "body" $json)))
    (export "message" (type $message (eq $m)))
    (type $o (record (field "state" $json) (field "reply" (option $json))))
    (export "outcome" (type $outcome (eq $o)))))
  (alias export $types "json" (type $json))
  (alias export $types "message" (type $message))
  (alias export $types "outcome" (type $outcome))
"""

ACTOR_EXPORT = f"""
  (type $init-type (func (param "params" $json) (result (result $json (error string)))))
  (type $handle-type (func (param "state" $json) (param "message" $message) (result (result $outcome (error string)))))
  (func $init (type $init-type)
    (canon lift (core func $main "init") (memory $memory) (realloc $realloc) (post-return $post-return)))
  (func $handle (type $handle-type)
    (canon lift (core func $main "handle") (memory $memory) (realloc $realloc) (post-return $post-return)))
  (instance $actor
    (export "json" (type $json)) (export "message" (type $message)) (export "outcome" (type $outcome))
    (export "init" (func $init)) (export "handle" (func $handle)))
  (export "{ACTOR}" (instance $actor))
"""

INIT = """(func (export "init") (param $params i32) (param $params-len i32) (result i32)
    {init})"""

HANDLE = """(func (export "handle")
    (param $state i32) (param $state-len i32) (param $id i32) (param $id-len i32)
    (param $has-sender i32) (param $sender i32) (param $sender-len i32)
    (param $expects-reply i32) (param $body i32) (param $body-len i32) (result i32)
    {handle})"""


def actor(
    *,
    handle: str,
    init: str = '(call $started @"{}")',
    more: str = "",
    imports: Sequence[Import] = (),
    exports: str = "",
    pages: int = 2,
) -> str:
    """The text of an actor component.

    ``more``: further definitions of its core module, a start function for one. ``exports``: those of the component
    beside ``init`` and ``handle``.
    """
    functions = "\n  ".join((INIT.format(init=init), HANDLE.format(handle=handle), more))
    return _component(functions, before=TYPES_IMPORT, after=ACTOR_EXPORT + exports, imports=imports, pages=pages)


def command(run: str, *, more: str = "", imports: Sequence[Import] = (), version: str = "0.2.0") -> str:
    """The text of a component that exports ``wasi:cli/run``; ``run`` returns an i32, 0 for ok and 1 for err."""
    after = f"""
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@{version}" (instance $command))
"""
    functions = f'(func (export "run") (result i32)\n    {run})\n  {more}'
    return _component(functions, before="", after=after, imports=imports, pages=2)


def service(handle: str, *, types: str, more: str = "", imports: Sequence[Import] = (), version: str = "0.2.0") -> str:
    """The text of a component that exports ``wasi:http/incoming-handler``: ``$request`` and ``$response`` are at hand.

    ``types`` are the imported ``wasi:http/types``, which have the types of both.
    """
    after = f"""
  (alias export $"{types}" "incoming-request" (type $asked))
  (alias export $"{types}" "response-outparam" (type $answered))
  (func $handle (param "request" (own $asked)) (param "response-out" (own $answered))
    (canon lift (core func $main "handle")))
  (instance $service (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@{version}" (instance $service))
"""
    functions = f"""(func $answer (param $request i32) (param $response i32)
    {handle})
  (func (export "handle") (param $request i32) (param $response i32) (local $heap-before i32)
    (local.set $heap-before (global.get $heap))
    (call $answer (local.get $request) (local.get $response))
    (global.set $heap (local.get $heap-before)))
  {more}"""
    return _component(functions, before="", after=after, imports=imports, pages=2)


def _component(functions: str, *, before: str, after: str, imports: Sequence[Import], pages: int) -> str:
    functions, data, heap = place_literals(functions)
    storage = STORAGE.format(pages=pages, heap=heap)
    core_imports = "".join(
        f'\n  (import "host" "{each.core_name}" (func ${each.core_name} {each.core}))' for each in imports
    )
    lowered = " ".join(f'(export "{each.core_name}" (func $lowered-{each.core_name}))' for each in imports)
    with_host = f'(with "host" (instance {lowered}))' if imports else ""
    return f"""(component
{before}{_instances(imports)}{storage}{_lowerings(imports)}
  (core module $code
  (import "storage" "memory" (memory {pages}))
  (import "storage" "heap" (global $heap (mut i32)))
  (import "storage" "reserve" (func $reserve (param i32) (result i32))){core_imports}
{PRELUDE.replace("{result}", str(RESULT_AT))}
  {functions}
  {data})
  (core instance $main (instantiate $code (with "storage" (instance $storage)) {with_host}))
{after})
"""


def _instances(imports: Sequence[Import]) -> str:
    text = ""
    for interface in dict.fromkeys(each.interface for each in imports):
        members = "".join(
            f'{each.types} (export "{each.name}" (func {each.type}))'
            for each in imports
            if each.interface == interface and not each.drops
        )
        text += "".join(each.before for each in imports if each.interface == interface)
        text += f'  (import "{interface}" (instance $"{interface}" {members}))\n'
    return text


def _lowerings(imports: Sequence[Import]) -> str:
    return "".join(_lowering(each) for each in imports)


def _lowering(wanted: Import) -> str:
    of, name = f'$"{wanted.interface}" "{wanted.name}"', wanted.core_name
    if wanted.drops:
        alias = f"  (alias export {of} (type $dropped-by-{name}))\n"
        return f"{alias}  (core func $lowered-{name} (canon resource.drop $dropped-by-{name}))\n"
    return f"  (core func $lowered-{name} (canon lower (func {of}) (memory $memory) (realloc $realloc)))\n"


def place_literals(text: str) -> tuple[str, str, int]:
    """Put constant strings into memory: the text with their places in it, the data segments, and where they end."""
    places: dict[str, tuple[int, int]] = {}
    end = LITERALS_AT

    def place(match: re.Match[str]) -> str:
        nonlocal end
        literal = match[1]
        if literal not in places:
            size = len(_unescaped(literal))
            places[literal] = (end, size)
            end += size
        at, size = places[literal]
        return f"(i32.const {at}) (i32.const {size})"

    text = _LITERAL.sub(place, text)
    data = "\n  ".join(f'(data (i32.const {at}) "{literal}")' for literal, (at, _) in places.items())
    return text, data, end


def _unescaped(literal: str) -> bytes:
    return _ESCAPE.sub(_unescape, literal.encode())


def _unescape(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return _SIMPLE_ESCAPES[escape] if escape in _SIMPLE_ESCAPES else bytes.fromhex(escape.decode())
