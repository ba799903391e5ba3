"""``wasi:cli/run`` on one side, the user's script ``main.py`` on the other.

The script is not run when the component is built, as importing it would; only what it imports is imported.
"""

import ast
import gc
import importlib.util
import sys
from types import ModuleType

import theater_imports
import theater_library
import theater_traceback
import wit_world.exports
from componentize_py_types import Err
from wit_world.imports import exit  # noqa: A004 - WIT's word for it

PATH = importlib.util.find_spec("main").origin
APP = PATH.rpartition("/")[0]
TEXT = theater_imports.remembered_text(PATH)
CODE = compile(TEXT, PATH, "exec", dont_inherit=True)


class Run(wit_world.exports.Run):
    """What the component exports."""

    def run(self) -> None:
        try:
            exec(CODE, _main_module().__dict__)  # noqa: S102 - the script itself
            status = 0
        except SystemExit as end:
            status = _status(end.code)
        except BaseException as error:  # noqa: BLE001 - as Python does at the end of a script
            sys.stdout.flush()
            theater_traceback.show(error, app=APP, own=("/theater_command.py",))
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        if status == 1:
            raise Err(None)
        if status:
            exit.exit_with_code(status & 0xFF)  # as the system does with a status


def _main_module() -> ModuleType:
    module = ModuleType("__main__")
    module.__file__ = "main.py"
    sys.modules["__main__"] = module
    sys.argv[:1] = ["main.py"]
    return module


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


theater_imports.import_all(ast.parse(TEXT), "")
theater_imports.prepare(APP)
theater_library.install()
gc.collect()
gc.freeze()
