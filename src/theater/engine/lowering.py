"""Compiles, per WIT type, the Python source that turns a value into C.

A C value is 32 bytes whose nested parts are pointers. wasmtime only reads and clones what it is given, so the image of
a value may live in Python: each nested part is an immutable ``bytes`` object, its address goes into its parent's image,
and the list ``k`` keeps all of them alive (``k[0]`` is the store context). Nothing is allocated in C, nothing freed.

Whatever the shape of ``value`` is, the code either makes a valid image or raises: a wrong kind kills the store, and a
lone surrogate would kill the process. It does not say what is wrong; ``shapes.explain`` does, afterwards.

Tried and dropped: the stock converter (54 us a call of two strings), building with ctypes structures (9 us).
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable
from typing import Any

import wasmtime._ffi as ffi

from theater.engine import native
from theater.engine.shapes import LIST_BYTES_MAX
from theater.model import wit

Lower = Callable[[Any, list[Any]], bytes]
"""(value, keepalive) -> 32 bytes, or for arguments 32 each."""

KIND: dict[str, int] = {
    name: getattr(ffi, f"WASMTIME_COMPONENT_{name.upper()}").value
    for name in (
        *("bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"),
        *("list", "record", "tuple", "variant", "enum", "option", "result", "flags", "resource"),
    )
}
"""The discriminant of each kind of C value."""

SCALARS: dict[str, tuple[str, int]] = {
    "bool": ("?", 1),
    "s8": ("b", 1),
    "u8": ("B", 1),
    "s16": ("h", 2),
    "u16": ("H", 2),
    "s32": ("i", 4),
    "u32": ("I", 4),
    "s64": ("q", 8),
    "u64": ("Q", 8),
    "f32": ("f", 4),
    "f64": ("d", 8),
}
"""Format of ``struct`` and size in bytes."""

_PACK = struct.Struct("<QQQQ").pack
_PACK_NAME = struct.Struct("<QQ").pack
_DATA = native.BYTES_DATA
_U8 = KIND["u8"]
_U8_IMAGES = [_PACK(_U8, i, 0, 0) for i in range(256)]
_SMALL_LIST = 64
"""Up to here joining ready images beats filling a buffer."""


class Lowerer:
    """Makes lowering code; one for all types of a component, so that shared types share code."""

    def __init__(self, define: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self._define = define
        self._known: dict[wit.Type, Lower] = {}

    def value(self, t: wit.Type) -> Lower:
        """The function for values of type ``t``."""
        known = self._known.get(t)
        if known is None:
            known = self._known[t] = self._make(t)
        return known

    def arguments(self, types: tuple[wit.Type, ...]) -> Lower:
        """The function for a tuple of arguments: their images one after the other."""
        scope = {f"t{i}": self.value(t) for i, t in enumerate(types)}
        body = "+".join(f"t{i}(v[{i}],k)" for i in range(len(types))) or "b''"
        return self._function(f" if len(v)!={len(types)}: raise TypeError\n return {body}", scope)

    def _function(self, body: str, scope: dict[str, Any]) -> Lower:
        scope |= {"pack": _PACK, "DATA": _DATA}
        function: Lower = self._define("lower", f"def lower(v,k):\n{body}\n", scope)
        return function

    def _make(self, t: wit.Type) -> Lower:
        match t:
            case wit.Primitive():
                return self._primitive(t.name)
            case wit.List(element=wit.Primitive(name="u8")):
                return _lower_bytes
            case wit.List():
                return self._function(
                    " if v.__class__ is not list and v.__class__ is not tuple: raise TypeError\n"
                    " b=b''.join([e(x,k) for x in v]); k.append(b)\n"
                    f" return pack({KIND['list']},len(b)>>5,id(b)+DATA,0)",  # not len(v): another thread may change v
                    {"e": self.value(t.element)},
                )
            case wit.Tuple():
                return self._tuple(t)
            case wit.Record():
                return self._record(t)
            case wit.Option():
                nested = isinstance(t.payload, wit.Option)
                unwrap = " if v.__class__ is not tuple or len(v)!=2 or v[0]!='some': raise TypeError\n v=v[1]\n"
                return self._function(
                    f" if v is None: return none\n{unwrap if nested else ''}"
                    f" b=e(v,k); k.append(b)\n return pack({KIND['option']},id(b)+DATA,0,0)",
                    {"e": self.value(t.payload), "none": _PACK(KIND["option"], 0, 0, 0)},
                )
            case wit.Result():
                return self._result(t)
            case wit.Variant():
                return self._variant(t)
            case wit.Enum():
                images = {}
                for name in t.names:
                    raw = name.encode()
                    images[name] = (_PACK(KIND["enum"], len(raw), id(raw) + _DATA, 0), raw)
                return self._function(" if v.__class__ is not str: raise TypeError\n return i[v][0]", {"i": images})
            case wit.Flags():
                names = {}
                for name in t.names:
                    raw = name.encode()
                    names[name] = (_PACK_NAME(len(raw), id(raw) + _DATA), raw)
                return self._function(
                    " if v.__class__ is not frozenset and v.__class__ is not set: raise TypeError\n"
                    " b=b''.join([n[x][0] for x in sorted(v)]); k.append(b)\n"
                    f" return pack({KIND['flags']},len(b)>>4,id(b)+DATA,0)",
                    {"n": names},
                )
            case wit.Handle():
                return self._function(
                    " if v.__class__ is not int or not 0<=v<=0xffffffff: raise TypeError\n"
                    f" return pack({KIND['resource']},make(k,{t.owned},v,{t.resource}),0,0)",
                    {"make": _make_resource},
                )
            case wit.Unsupported():
                raise TypeError(t.what)

    def _primitive(self, name: str) -> Lower:
        kind = KIND[name]
        if name == "string":
            body = (
                " if v.__class__ is not str: raise TypeError\n b=v.encode(); k.append(b)\n"
                f" return pack({kind},len(b),id(b)+DATA,0)"
            )
            return self._function(body, {})
        if name == "char":
            body = (
                " if v.__class__ is not str: raise TypeError\n o=ord(v)\n"
                f" if 0xd800<=o<=0xdfff: raise ValueError\n return pack({kind},o,0,0)"
            )
            return self._function(body, {})
        letter, size = SCALARS[name]
        pack_one = struct.Struct(f"<Q{letter}{24 - size}x").pack
        wanted = {"?": bool, "f": float, "d": float}.get(letter, int)
        body = f" if v.__class__ is not {wanted.__name__}: raise TypeError\n"
        if wanted is float:
            body += " if v!=v: v=nan\n"  # whatever NaN it is, the guest sees the canonical one
        return self._function(body + f" return one({kind},v)", {"one": pack_one, "nan": math.nan})

    def _tuple(self, t: wit.Tuple) -> Lower:
        scope = {f"t{i}": self.value(e) for i, e in enumerate(t.elements)}
        count = len(t.elements)
        image = "+".join(f"t{i}(v[{i}],k)" for i in range(count)) or "b''"
        return self._function(
            f" if v.__class__ is not tuple and v.__class__ is not list or len(v)!={count}: raise TypeError\n"
            f" b={image}; k.append(b)\n return pack({KIND['tuple']},{count},id(b)+DATA,0)",
            scope,
        )

    def _record(self, t: wit.Record) -> Lower:
        scope: dict[str, Any] = {}
        parts = []
        for i, (name, field) in enumerate(t.fields):
            raw = name.encode()
            scope |= {f"raw{i}": raw, f"n{i}": _PACK_NAME(len(raw), id(raw) + _DATA), f"t{i}": self.value(field)}
            parts.append(f"n{i}+t{i}(v[{name!r}],k)")
        return self._function(
            f" if v.__class__ is not dict or len(v)!={len(parts)}: raise TypeError\n"
            f" b={'+'.join(parts)}; k.append(b)\n return pack({KIND['record']},{len(parts)},id(b)+DATA,0)",
            scope,
        )

    def _result(self, t: wit.Result) -> Lower:
        scope: dict[str, Any] = {}
        body = " if v.__class__ is not tuple: raise TypeError\n c,v=v\n"
        for case, payload, flag in (("ok", t.ok, 1), ("err", t.err, 0)):
            body += f" if c=={case!r}:\n"
            if payload is None:
                scope[f"image_{case}"] = _PACK(KIND["result"], flag, 0, 0)
                body += f"  if v is not None: raise TypeError\n  return image_{case}\n"
            else:
                scope[f"t_{case}"] = self.value(payload)
                body += f"  b=t_{case}(v,k); k.append(b)\n  return pack({KIND['result']},{flag},id(b)+DATA,0)\n"
        return self._function(body + " raise ValueError", scope)

    def _variant(self, t: wit.Variant) -> Lower:
        table = {}
        for name, payload in t.cases:
            raw = name.encode()
            table[name] = (len(raw), id(raw) + _DATA, None if payload is None else self.value(payload), raw)
        kind = KIND["variant"]
        return self._function(
            " if v.__class__ is not tuple: raise TypeError\n c,v=v\n l,a,f,_=table[c]\n"
            f" if f is None:\n  if v is not None: raise TypeError\n  return pack({kind},l,a,0)\n"
            f" b=f(v,k); k.append(b)\n return pack({kind},l,a,id(b)+DATA)",
            {"table": table},
        )


def _lower_bytes(value: Any, k: list[Any]) -> bytes:
    """``list<u8>``: one 32-byte value per byte is what the C API wants."""
    if value.__class__ is not bytes and value.__class__ is not bytearray:
        raise TypeError
    size = len(value)
    if size <= _SMALL_LIST:
        image = b"".join([_U8_IMAGES[x] for x in value])
        k.append(image)
        return _PACK(KIND["list"], len(image) >> 5, id(image) + _DATA, 0)
    if size > LIST_BYTES_MAX:
        raise ValueError
    buffer = bytearray(size * native.VALUE_SIZE)
    buffer[0 :: native.VALUE_SIZE] = bytes((_U8,)) * size
    buffer[8 :: native.VALUE_SIZE] = value
    held = ctypes.c_char.from_buffer(buffer)
    k.append(held)
    return _PACK(KIND["list"], size, ctypes.addressof(held), 0)


class _Resource:
    """A handle made for one value; freed when the keepalive list goes."""

    __slots__ = ("_pointer",)

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def __del__(self) -> None:
        native.any_delete(self._pointer)


def _make_resource(k: list[Any], owned: bool, number: int, resource: int) -> int:  # noqa: FBT001 - generated code calls it
    host = native.host_new(owned, number, resource)
    out = ctypes.c_size_t()
    error = native.host_to_any(k[0], host, ctypes.addressof(out))
    native.host_delete(host)
    if error:
        raise native.EngineError(native.take_error(error))
    k.append(_Resource(out.value))
    return out.value
