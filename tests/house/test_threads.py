"""The fixture that fails a test for a thread left behind does fail it."""

from pathlib import Path

import pytest

GUARD = Path(__file__).parents[1] / "thread_guard.py"
MARKER = "leaves_threads(reason): in the words of pyproject.toml"

LEAVING = """
import threading
import pytest

def start(name):
    threading.Thread(target=threading.Event().wait, name=name, daemon=True).start()

def test_leaves_a_thread():
    start("forgotten")

@pytest.mark.leaves_threads("ended with the process")
def test_says_that_it_leaves_a_thread():
    start("declared")

def test_joins_its_thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
"""


@pytest.mark.slow
def test_a_test_that_leaves_a_thread_behind_fails_unless_it_says_so(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(GUARD.read_text())
    pytester.makeini(f"[pytest]\nmarkers =\n    {MARKER}\n")
    pytester.makepyfile(LEAVING)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*threads left behind: forgotten;*"])
    result.stdout.no_fnmatch_line("*declared*")
