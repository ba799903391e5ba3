"""The command ``theater``: the one place where every error ends."""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from collections.abc import Sequence

import typer

from theater.cli.exits import Exit, exit_of
from theater.cli.output import abandon, prepare_streams
from theater.cli.program import COMPLETING, NAME, named, program
from theater.cli.session import Session
from theater.errors import InternalError, InvalidInput, TheaterError
from theater.runtime.machine import is_supported_platform


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own unless given) and return its exit code."""
    # Before any engine exists: a fault handler that is put in behind the engine's own takes its traps for crashes.
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    is_deaf = sys.stdout is None
    prepare_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if COMPLETING in os.environ:
        complete = named("theater.cli.completion:answer")
        assert callable(complete)
        complete(words, os.environ)
        return Exit.OK
    session = Session(os.environ)
    own = _before_dashes(words)
    session.output.json = "--json" in own  # wanted also where the rest cannot be understood
    session.verbose = "-v" in own or "--verbose" in own
    try:
        if is_deaf:  # before anything is done: there is nowhere to say what came of it
            session.output.note("error: standard output is closed")
            return Exit.FAILED
        code = _run(words, session)
        session.output.flush()
    except BrokenPipeError:
        abandon(sys.stdout)
        abandon(sys.stderr)  # it may have been this one
        return Exit.BROKEN_PIPE
    except OSError as error:  # other errors of the system were reported: this one came from reporting
        abandon(sys.stdout)
        session.output.note(f"error: the output cannot be written: {error.strerror or error}")
        return Exit.FAILED
    return code


def _run(words: list[str], session: Session) -> int:
    """One command, with everything it can end in translated to an exit code."""
    try:
        session.output.json |= session.wants_json()
        command = program()
        with command.make_context(NAME, words, obj=session) as context:
            if not is_supported_platform():
                session.output.note("warning: this platform is not tested; CPython on Linux x86-64 is")
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except typer.TyperException as misuse:
        return _usage_error(misuse, session)
    except TheaterError as error:
        return _failed(error, session)
    except KeyboardInterrupt:
        return _interrupted(session)
    except BrokenPipeError:
        raise
    except SystemExit as left:  # rich's, where whoever read the help went away
        if isinstance(left.__context__, BrokenPipeError):
            raise left.__context__ from None
        return _failed(_bug(left, session), session)
    except OSError as error:  # the machine's trouble or the caller's: no room, no right, no such folder
        return _failed(_of_system(error, session), session)
    except BaseException as error:  # noqa: BLE001 - whatever else it is, it is our bug: it is reported, not shown raw
        if _is_cancelled(error):
            return _interrupted(session)
        return _failed(_bug(error, session), session)
    return Exit.OK


def _interrupted(session: Session) -> int:
    session.output.note("interrupted")
    return Exit.INTERRUPTED


def _is_cancelled(error: BaseException) -> bool:
    """Whether it is asyncio's ``CancelledError``: importing that for most commands, which cannot have it, is dear."""
    module = sys.modules.get("asyncio")
    return module is not None and isinstance(error, module.CancelledError)


def _failed(error: TheaterError, session: Session) -> int:
    output = session.output
    if output.json:
        output.document({"error": {"code": error.code, "message": error.message}})
    output.error(error)
    return exit_of(error)


def _usage_error(misuse: typer.TyperException, session: Session) -> int:
    output = session.output
    message = misuse.format_message().removeprefix("Invalid value: ")  # ours name the option themselves
    message = message.replace(":\n\t", ": ").replace(",\n\t", ", ")  # as choices are listed: it is one line here
    if not message:  # no arguments at all: the help, which has been shown, says it
        return Exit.USAGE
    context: object = getattr(misuse, "ctx", None)
    path = context.command_path if isinstance(context, typer.Context) else getattr(context, "command_path", "theater")
    if output.json:
        output.document({"error": {"code": "usage", "message": message}})
    output.note(f"error: {message}")
    output.note(f"try: {path} --help")
    return Exit.USAGE


def _of_system(error: OSError, session: Session) -> InvalidInput:
    if session.verbose:
        session.output.note("".join(traceback.format_exception(error)), has_lines=True)
    where = f"{error.filename}: " if error.filename is not None else ""
    return InvalidInput(f"{where}{error.strerror or error}")


def _bug(error: BaseException, session: Session) -> InternalError:
    text = "".join(traceback.format_exception(error))
    if session.verbose:
        session.output.note(text, has_lines=True)
    last = traceback.format_exception_only(error)[-1].strip()
    hint = "" if session.verbose else "; repeat the command with -v"
    return InternalError(f"this is a bug in Theater, {last}{hint} and report it with what it prints")


def _before_dashes(words: Sequence[str]) -> Sequence[str]:
    return words[: words.index("--")] if "--" in words else words
