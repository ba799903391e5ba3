"""Compiles, per WIT type, the Python source that reads a C value.

Reading never frees and never changes: arguments of host functions belong to wasmtime, and the result of a call is freed
as a whole by whoever asked for it. What is read was made by wasmtime: its kinds and its UTF-8 can be trusted.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable
from typing import Any

from theater.engine import native
from theater.engine.lowering import SCALARS
from theater.model import wit

Lift = Callable[[int, int], Any]
"""(address, store context) -> value, or for arguments a tuple."""

_ONE = struct.Struct("<Q").unpack_from
_TWO = struct.Struct("<QQ").unpack_from
_THREE = struct.Struct("<QQQ").unpack_from
_SIZE = native.VALUE_SIZE
_FIELD_SIZE = 16 + _SIZE  # a field of a record: its name (size, pointer), its value


class Lifter:
    """Makes lifting code; one for all types of a component, so that shared types share code."""

    def __init__(self, define: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self._define = define
        self._known: dict[wit.Type, Lift] = {}

    def value(self, t: wit.Type) -> Lift:
        """The function for values of type ``t``."""
        known = self._known.get(t)
        if known is None:
            known = self._known[t] = self._make(t)
        return known

    def arguments(self, types: tuple[wit.Type, ...]) -> Lift:
        """The function for an array of arguments."""
        scope = {f"f{i}": self.value(t) for i, t in enumerate(types)}
        parts = "".join(f"f{i}(a+{_SIZE * i},c)," for i in range(len(types)))
        return self._function(f" return ({parts})", scope)

    def _function(self, body: str, scope: dict[str, Any]) -> Lift:
        scope |= {"M": native.MEMORY, "one": _ONE, "two": _TWO}
        function: Lift = self._define("lift", f"def lift(a,c):\n{body}\n", scope)
        return function

    def _make(self, t: wit.Type) -> Lift:
        match t:
            case wit.Primitive():
                return self._primitive(t.name)
            case wit.List(element=wit.Primitive(name="u8")):
                return self._function(f" l,p=two(M,a+8)\n return bytes(M[p+8:p+8+l*{_SIZE}:{_SIZE}]) if l else b''", {})
            case wit.List():
                return self._function(
                    f" l,p=two(M,a+8)\n return [e(x,c) for x in range(p,p+l*{_SIZE},{_SIZE})]",
                    {"e": self.value(t.element)},
                )
            case wit.Tuple():
                scope = {f"f{i}": self.value(e) for i, e in enumerate(t.elements)}
                parts = "".join(f"f{i}(p+{_SIZE * i},c)," for i in range(len(t.elements)))
                return self._function(f" p=one(M,a+16)[0]\n return ({parts})", scope)
            case wit.Record():
                scope = {f"f{i}": self.value(f) for i, (_, f) in enumerate(t.fields)}
                pairs = ",".join(f"{n!r}:f{i}(p+{_FIELD_SIZE * i + 16},c)" for i, (n, _) in enumerate(t.fields))
                return self._function(f" p=one(M,a+16)[0]\n return {{{pairs}}}", scope)
            case wit.Option():
                some = "('some',e(p,c))" if isinstance(t.payload, wit.Option) else "e(p,c)"
                return self._function(f" p=one(M,a+8)[0]\n return {some} if p else None", {"e": self.value(t.payload)})
            case wit.Result():
                scope = {n: self.value(p) for n, p in (("ok", t.ok), ("err", t.err)) if p is not None}
                ok, err = (f"({n!r},{n}(p,c))" if n in scope else f"({n!r},None)" for n in ("ok", "err"))
                return self._function(f" o,p=two(M,a+8)\n return {ok} if o&255 else {err}", scope)
            case wit.Variant():
                table = {n.encode(): (n, None if p is None else self.value(p)) for n, p in t.cases}
                return self._function(
                    " l,p,q=three(M,a+8)\n n,f=table[bytes(M[p:p+l])]\n return (n,None if f is None else f(q,c))",
                    {"three": _THREE, "table": table},
                )
            case wit.Enum():
                return self._function(" l,p=two(M,a+8)\n return str(M[p:p+l],'utf-8')", {})
            case wit.Flags():
                return self._function(
                    " l,p=two(M,a+8)\n r=[]\n for x in range(p,p+l*16,16):\n"
                    "  m,q=two(M,x); r.append(str(M[q:q+m],'utf-8'))\n return frozenset(r)",
                    {},
                )
            case wit.Handle():
                return self._function(" return read(c,one(M,a+8)[0])", {"read": _read_resource})
            case wit.Unsupported():
                raise TypeError(t.what)

    def _primitive(self, name: str) -> Lift:
        if name == "string":
            return self._function(" l,p=two(M,a+8)\n return str(M[p:p+l],'utf-8')", {})
        if name == "char":
            return self._function(" return chr(one(M,a+8)[0]&0xffffffff)", {})
        letter, _ = SCALARS[name]
        scope = {"scalar": struct.Struct("<" + letter).unpack_from, "nan": math.nan}
        if letter in "fd":
            return self._function(" v=scalar(M,a+8)[0]\n return v if v==v else nan", scope)
        return self._function(" return scalar(M,a+8)[0]", scope)


def _read_resource(context: int, pointer: int) -> int:
    """The number of a host resource; own and borrow alike. The conversion also gives up the handle-table entry."""
    out = ctypes.c_size_t()
    error = native.any_to_host(context, pointer, ctypes.addressof(out))
    if error:
        raise native.EngineError(native.take_error(error))
    number: int = native.host_number(out.value)
    native.host_delete(out.value)
    return number
