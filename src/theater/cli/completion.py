"""``completion``: a script for a shell, which asks this program what may stand where somebody presses Tab.

The script calls ``theater`` with ``_THEATER_COMPLETE=SHELL`` and the words up to the cursor, and gets a word a line,
with what it means behind it. No line of it is ever run or expanded: each is put into a list as it is.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Literal

import typer

from theater.cli.completing import Actor, Suggestion, suggestions, unsplit
from theater.cli.program import COMPLETING
from theater.cli.session import Session, session_of
from theater.errors import TheaterError, TimedOut

ANSWER_MAX_S = 2.0
"""Whoever presses Tab does not wait any longer."""

LOOKED_AT_MAX = 10_000
"""Of how many actors the names are compared."""

_BASH = r"""# theater: completion for bash. To use it: source <(theater completion bash)
_theater() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(_THEATER_COMPLETE=bash theater "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
}
complete -o default -F _theater theater
"""

_ZSH = r"""#compdef theater
# theater: completion for zsh. To use it: source <(theater completion zsh), or save it as _theater on your $fpath
_theater() {
    local -a found
    found=("${(@f)$(_THEATER_COMPLETE=zsh theater "${(@)words[2,CURRENT]}" 2>/dev/null </dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        _describe theater found
    else
        _files
    fi
}
if [[ "${zsh_eval_context[-1]}" == loadautofunc ]]; then
    _theater "$@"
else
    compdef _theater theater
fi
"""

_FISH = r"""# theater: completion for fish. To use it: theater completion fish | source
function __theater_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (env _THEATER_COMPLETE=fish theater $words[2..-1] 2>/dev/null </dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c theater -f -a '(__theater_complete)'
"""

_SCRIPTS: Mapping[str, str] = MappingProxyType({"bash": _BASH, "zsh": _ZSH, "fish": _FISH})


def completion(
    context: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print a script that makes a shell complete what is typed."""
    output = session_of(context).output
    if output.json:
        output.document({"shell": shell, "script": _SCRIPTS[shell]})
        return
    for line in _SCRIPTS[shell].splitlines():
        output.line(line)


def answer(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Print what may stand for the last of ``words``, a word a line. Fails for nothing, and says nothing else."""
    try:
        with _time_limit():
            *before, begun = words or [""]
            found = suggestions(before, begun, _actors_of(_session(unsplit(before, "")[0], environ)))
        show = _LINES.get(environ.get(COMPLETING, ""), _plain_line)
        sys.stdout.write("".join(f"{show(item)}\n" for item in found))
        sys.stdout.flush()
    except Exception:  # noqa: BLE001 - whatever it is, it is no time to speak of it: somebody is typing
        return


def offers(words: Sequence[str], begun: str, session: Session) -> list[Suggestion]:
    """What may stand behind ``words``, for whoever has a session already; nothing where that cannot be known now."""
    try:
        with _time_limit():
            return suggestions(words, begun, _actors_of(session))
    except (TheaterError, OSError):
        return []


@contextmanager
def _time_limit() -> Iterator[None]:
    """A server may be slow to answer, or somewhere else and gone."""

    def give_up(_signal: int, _frame: object) -> None:
        raise TimedOut("completing took too long")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, ANSWER_MAX_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _session(words: Sequence[str], environ: Mapping[str, str]) -> Session:
    session = Session(environ)
    for word, following in zip(words, [*words[1:], ""], strict=False):
        option, is_joined, value = word.partition("=")
        if option == "--data-dir":
            session.data_dir = value if is_joined else following
        elif option == "--server":
            session.server = value if is_joined else following
    return session


def _actors_of(session: Session) -> Callable[[], Iterator[Actor]]:
    def actors() -> Iterator[Actor]:
        with session.reading() as reading:
            for row in islice(reading.actors(), LOOKED_AT_MAX):
                yield Actor(row.name, row.id, row.status)

    return actors


def _plain_line(item: Suggestion) -> str:
    return item.word


def _zsh_line(item: Suggestion) -> str:
    word = item.word.replace(":", r"\:")
    return f"{word}:{item.help}" if item.help else word


def _fish_line(item: Suggestion) -> str:
    return f"{item.word}\t{item.help}" if item.help else item.word


_LINES: Mapping[str, Callable[[Suggestion], str]] = MappingProxyType(
    {"bash": _plain_line, "zsh": _zsh_line, "fish": _fish_line}
)
