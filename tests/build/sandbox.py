"""A bare sandbox for built components: enough to see what a guest answers and prints, and nothing of Theater."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import component as wasm

ACTOR = "theater:actor/actor@0.1.0"
MEMORY_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Ended:
    """How a call ended: with ``state`` and ``reply``, with ``refusal``, or with ``trap``."""

    state: Any = None
    reply: str | None = None
    refusal: str | None = None
    trap: str | None = None
    exit_ok: bool | None = None
    exit_status: int | None = None
    """Where it named one."""
    stdout: str = ""
    stderr: str = ""
    logged: tuple[tuple[str, str], ...] = ()


class Sandbox:
    """One compiled component; each call gets an instance of its own unless it is to be kept.

    ``answers`` are host functions as ``interface.function``, in the shapes of the wasmtime package; others trap.
    """

    def __init__(self, path: Path, folder: Path, answers: Mapping[str, Callable[..., Any]] | None = None) -> None:
        config = wasmtime.Config()
        config.cache = True
        config.cranelift_opt_level = "none"
        self._engine = wasmtime.Engine(config)
        self._component = wasm.Component(self._engine, path.read_bytes())
        self._folder = folder
        self._answers = answers or {}
        self.imports = tuple(self._component.type.imports(self._engine))
        self.exports = tuple(self._component.type.exports(self._engine))

    def handle(self, body: object, *, expects_reply: bool = True, times: int = 1) -> Ended:
        """Handle one message (``times`` times in one instance; the last counts)."""
        return self.handle_text(json.dumps(body), expects_reply=expects_reply, times=times)

    def handle_text(self, body: str, *, expects_reply: bool = True, times: int = 1) -> Ended:
        """Handle one message whose body is this text."""
        message = wasm.Record()
        vars(message).update({"id": "0" * 32, "sender": None, "expects-reply": expects_reply, "body": body})
        return self._run(ACTOR, "handle", ("null", message), times)

    def init(self, params: object) -> Ended:
        """Make the first state."""
        return self._run(ACTOR, "init", (json.dumps(params),), 1)

    def run(self, *arguments: str) -> Ended:
        """Run a command."""
        return self._run("wasi:cli/run@0.2.0", "run", (), 1, ("program", *arguments))

    def call(self, interface: str, function: str, *args: object) -> Ended:
        """Call any other export."""
        return self._run(f"theater:actor/{interface}@0.1.0", function, args, 1)

    def _run(
        self, interface: str, function: str, args: tuple[Any, ...], times: int, arguments: tuple[str, ...] = ()
    ) -> Ended:
        logged: list[tuple[str, str]] = []
        store = wasmtime.Store(self._engine)
        store.set_limits(memory_size=MEMORY_MAX_BYTES)
        wasi = wasmtime.WasiConfig()
        wasi.argv = list(arguments)
        out, err = self._folder / "stdout", self._folder / "stderr"
        wasi.stdout_file, wasi.stderr_file = str(out), str(err)
        store.set_wasi(wasi)
        instance = self._linker(logged).instantiate(store, self._component)
        outer = instance.get_export_index(store, interface)
        assert outer is not None
        index = instance.get_export_index(store, function, outer)
        assert index is not None
        exported = instance.get_func(store, index)
        assert exported is not None
        try:
            ended = [_ended(exported(store, *args)) for _ in range(times)][-1]
        except (wasmtime.WasmtimeError, wasmtime.Trap, wasmtime.ExitTrap) as error:
            ended = _exited(str(error)) or {"trap": str(error)}
        return Ended(**ended, stdout=out.read_text(), stderr=err.read_text(), logged=tuple(logged))

    def _linker(self, logged: list[tuple[str, str]]) -> wasm.Linker:
        linker = wasm.Linker(self._engine)
        linker.add_wasip2()
        if "theater:actor/runtime@0.1.0" in self.imports:
            with linker.root() as root, root.add_instance("theater:actor/runtime@0.1.0") as runtime:
                runtime.add_func("log", lambda _, level, text: logged.append((level, text)))
                runtime.add_func("self", lambda _: "ab" * 16)
                runtime.add_func("name", lambda _: "guest")
                runtime.add_func("parent", lambda _: None)
                runtime.add_func("component", lambda _: "cd" * 32)
                runtime.add_func("shutdown", lambda _, value: logged.append(("shutdown", value)))
        for interface in ("messaging", "supervisor", "timing"):
            name = f"theater:actor/{interface}@0.1.0"
            if name in self.imports:
                imported = self._component.type.imports(self._engine)[name].ty
                assert isinstance(imported, wasm.ComponentInstanceType)
                with linker.root() as root, root.add_instance(name) as instance:
                    for function, item in imported.exports(self._engine).items():
                        if isinstance(item.ty, wasm.FuncType):
                            instance.add_func(function, self._answer(f"{interface}.{function}"))
        return linker

    def _answer(self, function: str) -> Callable[..., Any]:
        def answer(_: object, *args: object) -> object:
            if function not in self._answers:
                raise LookupError(f"{function} was called")
            return self._answers[function](*args)

        return answer


def _exited(error: str) -> dict[str, Any]:
    """Of a guest that said with which status it ends; wasmtime has an error for that."""
    found = re.search(r"Exited with i32 exit status (\d+)$", error.strip())
    return {"exit_ok": found[1] == "0", "exit_status": int(found[1])} if found is not None else {}


def _ended(answer: object) -> dict[str, Any]:
    if isinstance(answer, wasm.Record):
        return {"state": json.loads(vars(answer)["state"]), "reply": vars(answer)["reply"]}
    if isinstance(answer, wasm.Variant):
        if answer.payload is None:
            return {"exit_ok": answer.tag == "ok"}
        return {"state": json.loads(answer.payload)} if answer.tag == "ok" else {"refusal": answer.payload}
    return {"refusal": answer}
