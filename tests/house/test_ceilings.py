"""A file has at most 500 lines and a function at most 70: over that, look for the second noun, or the second verb."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "theater"
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70  # from `def` to the last line, docstring included: what fits on a tall screen


def ceiling_violations(package: Path) -> list[str]:
    """One line, `file:line: what is wrong`, for each file and each function below `package` that is too long."""
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(package)
        lines = len(text.splitlines())
        if lines > FILE_LINES_MAX:
            found.append(f"{name}:{lines}: {lines} lines, more than {FILE_LINES_MAX}")
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (function.end_lineno or function.lineno) - function.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    where = f"{name}:{function.lineno}"
                    found.append(f"{where}: {function.name} has {lines} lines, more than {FUNCTION_LINES_MAX}")
    return found


def test_the_sources_stay_under_the_ceilings() -> None:
    assert ceiling_violations(SOURCE) == []


def test_a_file_over_the_ceiling_is_reported(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * (FILE_LINES_MAX + 1))
    (tmp_path / "full.py").write_text("x = 1\n" * FILE_LINES_MAX)

    assert ceiling_violations(tmp_path) == ["long.py:501: 501 lines, more than 500"]


@pytest.mark.parametrize("head", ["def f():", "async def f():", "class A:\n  def f(self):"])
def test_a_function_over_the_ceiling_is_reported(tmp_path: Path, head: str) -> None:
    line = head.count("\n") + 1
    (tmp_path / "long.py").write_text(f"{head}\n" + "    x = 1\n" * FUNCTION_LINES_MAX)
    (tmp_path / "full.py").write_text(f"{head}\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1))

    assert ceiling_violations(tmp_path) == [f"long.py:{line}: f has 71 lines, more than 70"]
