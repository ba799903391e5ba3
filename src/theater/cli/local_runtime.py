"""A runtime in this process, for commands that do one thing after the other and wait for each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Self, TypeVar

from theater.cli.session import Session
from theater.runtime.runtime import Runtime

T = TypeVar("T")


class LocalRuntime:
    """Holds the data directory while it is open, in a ``with`` statement.

    Its event loop runs while something is done, and stands still else; the actors' own threads do not mind.
    """

    def __init__(self, session: Session, *, purpose: str) -> None:
        self.runtime = Runtime(data_dir=session.data_dir, environ=session.environ, purpose=purpose)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            self._runner.run(self.runtime.__aenter__())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self.runtime.__aexit__(kind, error, trace))
        finally:
            self._runner.close()

    def do(self, work: Coroutine[object, None, T]) -> T:
        """Wait for ``work``, which begins now. An interrupt cancels it."""
        return self._runner.run(work)
