"""Components that are hard to compile, as binaries."""


def component(module: bytes) -> bytes:
    return b"\0asm\x0d\0\1\0\1" + _leb(len(module)) + module


def one_function_of_calls(size: int) -> bytes:
    """7 MB of it take 31 s and 5.6 GB."""
    return component(_module([_body(b"\x10\0" * (size // 2))]))


def many_functions(size: int) -> bytes:
    """1 s and 250 MB a megabyte."""
    body = _body(b"\x41\x01\x41\x02\x6a\x1a" * 3)
    return component(_module([body] * (size // (len(body) + 2))))


def _module(bodies: list[bytes]) -> bytes:
    types = _section(1, _vector([b"\x60\0\0"]))
    functions = _section(3, _vector([b"\0"] * len(bodies)))
    return b"\0asm\1\0\0\0" + types + functions + _section(10, _vector([_leb(len(b)) + b for b in bodies]))


def _body(code: bytes) -> bytes:
    return b"\0" + code + b"\x0b"


def _section(number: int, data: bytes) -> bytes:
    return bytes([number]) + _leb(len(data)) + data


def _vector(items: list[bytes]) -> bytes:
    return _leb(len(items)) + b"".join(items)


def _leb(n: int) -> bytes:
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])
