"""Code (WAT) that reads values out of a puppet's program, and that writes values as text.

What a program has for a value follows from the value's type:

===================  ==================================================================================================
string               a text: see ``tests.guests.puppet_code``
integer, bool        decimal digits and ``;``
option               ``-``, or ``+`` and the value
enum, variant        the number of the case and ``;``, then the payload
record, tuple        the parts in order
list                 how many and ``;``, then the elements
===================  ==================================================================================================

A value as text: strings and numbers as they are; the parts of a record with ``/`` between them, the elements of a list
with ``,``; an option's value or ``none``; a case's name, and after ``:`` its payload; of a result the value, ``ok``
where it has none, or ``err:`` and the error. In brief, a payload is left out unless it is a choice itself.
"""

from collections.abc import Sequence

from tests.guests.abi import cases, layout, load_number, payload_offset, sequence, store_number
from theater.model import wit

_AT = "(local.get $at)"


class ValueCode:
    """Makes each function once; ``text`` are the functions made so far."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, wit.Type], str] = {}
        self._functions: list[str] = []

    @property
    def text(self) -> str:
        return "\n  ".join(self._functions)

    def read(self, t: wit.Type, place: str) -> str:
        """A statement that reads a value from the program into memory at ``place``."""
        return f"(call ${self._function('read', t)} {place})"

    def show(self, t: wit.Type, place: str) -> str:
        """A statement that puts the value at ``place`` into the text that is being built."""
        return f"(call ${self._function('show', t)} {place})"

    def brief(self, t: wit.Type, place: str) -> str:
        """The same, in brief."""
        return f"(call ${self._function('brief', t)} {place})"

    def _function(self, verb: str, t: wit.Type) -> str:
        if (verb, t) not in self._made:
            name = self._made[verb, t] = f"{verb}-{len(self._made)}"
            body = self._reading(t) if verb == "read" else self._showing(t, is_brief=verb == "brief")
            self._functions.append(f"(func ${name} (param $at i32) (local $element i32) (local $left i32)\n    {body})")
        return self._made[verb, t]

    def _reading(self, t: wit.Type) -> str:
        match t:
            case wit.Primitive(name="string"):
                return (
                    f"(call $read-text) (i32.store {_AT} (global.get $arg))"
                    f" (i32.store offset=4 {_AT} (global.get $arg-len))"
                )
            case wit.Primitive():
                return store_number(t, _AT, 0, "(call $read-number)")
            case wit.List(element=element):
                size = _stride(element)
                return f"""(local.set $left (i32.wrap_i64 (call $read-number)))
    (local.set $element (call $reserve (i32.mul (local.get $left) (i32.const {size}))))
    (i32.store {_AT} (local.get $element)) (i32.store offset=4 {_AT} (local.get $left))
    {_each(self.read(element, "(local.get $element)"), size)}"""
            case wit.Record(fields=fields):
                return self._parts("read", [inner for _, inner in fields])
            case wit.Tuple(elements=elements):
                return self._parts("read", elements)
            case wit.Option():
                number = "(i32.eq (call $read-byte) (i32.const 43))"
            case _:
                number = "(i32.wrap_i64 (call $read-number))"
        return f"(i32.store8 {_AT} {number})" + self._payloads("read", t)

    def _showing(self, t: wit.Type, *, is_brief: bool) -> str:
        verb = "brief" if is_brief else "show"
        match t:
            case wit.Primitive(name="string"):
                return f"(call $put (i32.load {_AT}) (i32.load offset=4 {_AT}))"
            case wit.Primitive(name="bool"):
                return f'(if (i32.load8_u {_AT}) (then (call $put @"true")) (else (call $put @"false")))'
            case wit.Primitive():
                return f"(call $put-number {load_number(t, _AT)})"
            case wit.List(element=element):
                between = f'(if (i32.ne (local.get $element) (i32.load {_AT})) (then (call $put @",")))'
                return f"""(local.set $element (i32.load {_AT})) (local.set $left (i32.load offset=4 {_AT}))
    {_each(between + self._code(verb, element, "(local.get $element)"), _stride(element))}"""
            case wit.Record(fields=fields):
                return self._parts(verb, [inner for _, inner in fields])
            case wit.Tuple(elements=elements):
                return self._parts(verb, elements)
        return self._cases(verb, t)

    def _cases(self, verb: str, t: wit.Type) -> str:
        place = f"(i32.add {_AT} (i32.const {payload_offset(t)}))"
        text = ""
        for number, (name, payload) in enumerate(cases(t)):
            match t:
                case wit.Option() | wit.Result() if payload is not None and name != "err":
                    label = ""
                case _:
                    label = f'(call $put @"{name}")'
            shown = ""
            if payload is not None and (verb == "show" or isinstance(payload, wit.Variant | wit.Enum)):
                colon = '(call $put @":")' if label else ""
                shown = colon + self._code(verb, payload, place)
            text += f"(if (i32.eq (i32.load8_u {_AT}) (i32.const {number})) (then {label}{shown}))\n    "
        return text

    def _parts(self, verb: str, types: Sequence[wit.Type]) -> str:
        code = [
            self._code(verb, inner, f"(i32.add {_AT} (i32.const {place}))")
            for place, inner in zip(sequence(types)[0], types, strict=True)
        ]
        return ("" if verb == "read" else '(call $put @"/")').join(code)

    def _payloads(self, verb: str, t: wit.Type) -> str:
        place = f"(i32.add {_AT} (i32.const {payload_offset(t)}))"
        return "".join(
            f"(if (i32.eq (i32.load8_u {_AT}) (i32.const {number})) (then {self._code(verb, payload, place)}))"
            for number, (_, payload) in enumerate(cases(t))
            if payload is not None
        )

    def _code(self, verb: str, t: wit.Type, place: str) -> str:
        return f"(call ${self._function(verb, t)} {place})"


def _stride(element: wit.Type) -> int:
    return layout(element)[0]


def _each(body: str, size: int) -> str:
    return f"""(block $done (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      {body}
      (local.set $element (i32.add (local.get $element) (i32.const {size})))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))"""
