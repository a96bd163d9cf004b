"""The command line: `python -m storm_exp recipe=storm`, the same as `storm-exp`."""

from __future__ import annotations

import gc
import inspect
import io
import os
import sys
import traceback
from collections.abc import Callable

from storm_exp._contract.errors import Interrupted, StormError, did_you_mean
from storm_exp._contract.interpreter import TO_RUN, complaint
from storm_exp._run.unexpected import SHOWN, report_unexpected


def main(arguments: list[str] | None = None) -> int:
    """Run a recipe or a sweep, or one of the verbs.

    usage: storm-exp recipe=NAME [setting=value …]        run a recipe
           storm-exp -m recipe=NAME setting=a,b,c         run a sweep: every combination
           storm-exp sweep=NAME                           run a named sweep
           storm-exp VERB …                               one of the verbs below

    The exit code is 0, 1 for an error, 130 when interrupted, 143 when terminated.

    for example:
        storm-exp recipe=storm
        storm-exp -m recipe=storm curator.min_education=2,3,4 merger.t=0.25,0.5,0.75
        storm-exp list --help
    """
    gc.set_threshold(10_000)  # a plan is made of many objects that all stay
    for stream in (sys.stdout, sys.stderr):
        # A path or an error may contain characters that the terminal or a file cannot encode.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if problem := complaint(TO_RUN):
        print(f"error: {problem}", file=sys.stderr)
        return 1
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        _print_usage()
        return 0
    try:
        return _dispatch(arguments)
    except Interrupted as interruption:
        return interruption.code
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        from storm_exp._run.answer import Answer

        Answer(arguments[0], error=_message(error, arguments)).print(arguments)
        if os.environ.get(SHOWN):
            traceback.print_exception(error)
        return 1


def _message(error: Exception, arguments: list[str]) -> str:
    """Return a message for the user about an error, expected or not."""
    try:
        from storm_exp._compose.hydra_errors import explain

        message = explain(error)
    except Exception as second:  # an error in the explanation must not hide the first
        second.__context__ = error
        error, message = second, None
    return message or report_unexpected(error, ["storm-exp", *arguments])


def _print_usage() -> None:
    """Print how the command line is used, and a line for each verb."""
    from storm_exp._run.verbs import verb_lines

    print(inspect.getdoc(main), "", "verbs:", *verb_lines(), sep="\n")


def _dispatch(arguments: list[str]) -> int:
    from storm_exp._contract.plugins import load_plugins
    from storm_exp._run import application, verbs

    first, wants_help = arguments[0], bool({"-h", "--help"} & set(arguments))
    if "--version" in arguments:
        first, wants_help, arguments = "version", False, ["version", *arguments]
    composes = "=" in first or first.startswith(("-", "+", "~"))
    if composes and not wants_help:
        application.compose_and_act(arguments)
        return 0
    known: dict[str, Callable[[list[str]], int]] = {**verbs.VERBS, **verbs.plugin_verbs()}
    described = inspect.getdoc(known[first]) or "" if wants_help and first in known else ""
    if "usage: " in described:
        print(described)
        return 0
    if wants_help and not any(first in plugin.verbs for plugin in load_plugins().plugins):
        _print_usage()
        return 0
    if first not in known:
        from storm_exp._compose.hydra_errors import recipe_of_this_name
        from storm_exp._compose.presets import new_verb

        meant = recipe_of_this_name(first) or new_verb(first) or did_you_mean(first, known)
        failures = load_plugins().failures()
        raise StormError(f"no verb '{first}'{meant} (to run a recipe: recipe=NAME){failures}")
    return known[first](arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
