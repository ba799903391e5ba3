"""The engine: compiles components and runs them, each call on a stack of its own. The only importer of wasmtime."""

from theater.engine import interpreter as interpreter  # first: it refuses interpreters on which the rest would crash
from theater.engine.engine import WasmtimeEngine

__all__ = ["WasmtimeEngine"]
