"""Theater: WebAssembly actors that are sandboxed, recorded, replayed and verified."""

__version__ = "0.1.0"
