import sys

import pytest
from main import main


def test_it_greets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["main.py", "Theater", "--times", "2"])

    main()

    assert capsys.readouterr().out == "Hello, Theater!\nHello, Theater!\n"
