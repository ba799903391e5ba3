"""The component of a puppet: its interpreter between the interfaces that it imports and those that it exports."""

from collections.abc import Collection, Mapping
from typing import Literal

from tests.guests.abi import signature
from tests.guests.component import PRELUDE, RESULT_AT, STORAGE, place_literals
from tests.guests.interface_text import export_text, import_text, lowering_text, with_dependencies
from tests.guests.puppet_code import interpreter
from tests.guests.puppet_exports import ACTOR, HANDLERS, PROGRAMS, handler_functions, migration
from tests.guests.value_code import ValueCode
from tests.guests.wit_text import read_interface
from theater.model import wit

CAPABILITIES = ("messaging", "supervisor", "timing", "runtime")
"""What a puppet imports unless it is told otherwise."""
MORE_CAPABILITIES = ("store", "http-server", "process")
"""What it can be told to import."""
PAGES = 2

Handler = Literal["channels", "supervisor", "events", "http", "middleware", "process"]
Migration = Literal["ok", "refuse", "trap"]

_EXIT = "wasi.exit"
_EXIT_TYPE = wit.Function((("status", wit.Result(None, None)),), None)
_EXIT_IMPORT = """  (import "wasi:cli/exit@0.2.0" (instance $wasi (export "exit" (func (param "status" (result))))))
"""


def puppet_wat(
    imports: Collection[str] = CAPABILITIES,
    handlers: Collection[Handler] = (),
    migrate: Migration | None = None,
    version: str = "1",
    programs: Mapping[str, str] | None = None,
) -> str:
    """The component text of a puppet.

    ``imports`` are interfaces (``messaging``), single functions (``supervisor.spawn``), and ``exit`` for WASI's.
    ``programs`` run in the handlers of these names, after what the handler does by itself.
    """
    programs = programs or {}
    assert programs.keys() <= set(PROGRAMS), set(programs) - set(PROGRAMS)
    functions = imported_functions(imports)
    values = ValueCode()
    code = ACTOR + handler_functions(sorted(handlers), values, programs)
    code += migration(migrate, programs) if migrate else ""
    code += interpreter(functions, values, version=version)
    code, data, heap = place_literals(code + values.text)
    exported = ["actor", *(HANDLERS[each] for each in sorted(handlers)), *(["upgrade"] if migrate else [])]
    lowered = " ".join(f'(export "{name}" (func $lowered-{name}))' for name in functions)
    return f"""(component
{_imports(functions, exported)}{STORAGE.format(pages=PAGES, heap=heap)}
{"".join(lowering_text(*name.split(".")) for name in functions)}
  (core module $code
  (import "storage" "memory" (memory {PAGES}))
  (import "storage" "heap" (global $heap (mut i32)))
  (import "storage" "reserve" (func $reserve (param i32) (result i32)))
  {_core_imports(functions)}
{PRELUDE.replace("{result}", str(RESULT_AT))}
  {code}
  {data})
  (core instance $host {lowered})
  (core instance $main (instantiate $code (with "storage" (instance $storage)) (with "host" (instance $host))))
{"".join(export_text(read_interface(name)) for name in exported)})
"""


def imported_functions(imports: Collection[str]) -> dict[str, wit.Function]:
    """Functions by ``interface.name``, as programs call them."""
    found: dict[str, wit.Function] = {}
    for interface in (*CAPABILITIES, *MORE_CAPABILITIES):
        functions = {f"{interface}.{name}": type_ for name, type_ in read_interface(interface).functions.items()}
        found |= {name: type_ for name, type_ in functions.items() if interface in imports or name in imports}
    unknown = set(imports) - found.keys() - {*CAPABILITIES, *MORE_CAPABILITIES, "exit"}
    assert not unknown, f"nothing to import: {', '.join(sorted(unknown))}"
    return found | ({_EXIT: _EXIT_TYPE} if "exit" in imports else {})


def _imports(functions: Mapping[str, wit.Function], exported: Collection[str]) -> str:
    named: dict[str, list[str]] = {}
    for interface, _, name in (each.partition(".") for each in functions if each != _EXIT):
        named.setdefault(interface, []).append(name)
    text = "".join(
        import_text(read_interface(interface), named.get(interface, []))
        for interface in with_dependencies([*named, *exported])
        if interface not in exported
    )
    return text + (_EXIT_IMPORT if _EXIT in functions else "")


def _core_imports(functions: Mapping[str, wit.Function]) -> str:
    return "\n  ".join(
        f'(import "host" "{name}" (func $host-{name} {signature(function)}))' for name, function in functions.items()
    )
