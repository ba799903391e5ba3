"""The child process that compiles: the one place where a hostile component meets the compiler.

A compiler can be made to take gigabytes or minutes, and running out of memory aborts the process it runs in. So it runs
here, under limits of its own, with nothing inherited: no environment, no descriptors, a temporary folder as its world.

Started by ``compiler`` as ``compile_child.main([task, memory limit, CPU limit, parent])`` with that folder as working
folder; reads ``input``, writes ``output``, or ``error`` with the reason why it cannot be compiled.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

import wasmtime
from wasmtime import component

from theater.engine import rlimits
from theater.engine.settings import make_config

OUTPUT_MAX_BYTES = 1 << 30
"""Compiled code is 2 to 10 times the component; CPython's 19 MB make 40."""
ERROR_MAX_CHARACTERS = 4000
REFUSED = 3
"""Exit status: ``error`` says why."""

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Do the task that the arguments name, and exit."""
    task, memory_bytes, cpu_s = arguments[0], int(arguments[1]), int(arguments[2])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody waits for the result then
    if os.getppid() != int(arguments[3]):
        os._exit(1)  # that happened before we could ask to be told
    _limit(memory_bytes, cpu_s)
    data = Path("input").read_bytes()
    try:
        output = _compile(data) if task == "compile" else _assemble(data)
    except Refused as refused:
        Path("error").write_text(str(refused)[:ERROR_MAX_CHARACTERS], "utf-8")
        sys.stdout.flush()
        os._exit(REFUSED)
    Path("output").write_bytes(output)
    os._exit(0)  # nothing here is worth tearing down


class Refused(Exception):
    """The input is at fault; the text is wasmtime's."""


def _limit(memory_bytes: int, cpu_s: int) -> None:
    rlimits.take(resource.RLIMIT_CORE, 0, 0)
    rlimits.take(resource.RLIMIT_AS, memory_bytes, memory_bytes)
    rlimits.take(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
    rlimits.take(resource.RLIMIT_FSIZE, OUTPUT_MAX_BYTES, OUTPUT_MAX_BYTES)


def _compile(data: bytes) -> bytes:
    try:
        return bytes(component.Component(wasmtime.Engine(make_config()), data).serialize())
    except wasmtime.WasmtimeError as error:
        raise Refused(str(error)) from error


def _assemble(data: bytes) -> bytes:
    try:
        return bytes(wasmtime.wat2wasm(data.decode("utf-8")))
    except (wasmtime.WasmtimeError, UnicodeDecodeError) as error:
        raise Refused(str(error)) from error
