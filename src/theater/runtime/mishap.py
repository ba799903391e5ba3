"""What an exception that nobody expected leaves behind: a report, and not a thread that died of it."""

from __future__ import annotations

import threading


def report(error: BaseException) -> None:
    """To whoever watches threads: by default it is printed."""
    threading.excepthook(
        threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
    )
