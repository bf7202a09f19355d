"""What is wrong with a command line, said like every other error: text on a terminal, JSON with `-o json`."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from cli.errors import UsageFault
from cli.terminal import output
from cli.terminal.options import get_usual_format
from cli.terminal.output import Format

_NEGATIVE = re.compile(r"-[0-9.]+", re.ASCII)
_UNKNOWN_VERB = re.compile(r"No such command '([^']*)'")
ARGUMENT_CHARS_SHOWN = 80


def check_text(words: Sequence[str]) -> None:
    """Raises UsageFault if a word of the command line is not UTF-8: it could be neither shown nor sent."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            shown = word[:ARGUMENT_CHARS_SHOWN].encode(errors="backslashreplace").decode()
            raise UsageFault(f"'{shown}' is not UTF-8") from error


def find_format(words: Sequence[str]) -> Format:
    """The format of `-o`, also of a command line that cannot be read."""
    for number, word in enumerate(words):
        name, _, value = word.partition("=")
        if name in ("-o", "--output"):
            value = value or "".join(words[number + 1 : number + 2])
        elif word.startswith("-o"):
            value = word[2:]
        else:
            continue
        if value in list(Format):
            return Format(value)
    return get_usual_format()


def say_usage_error(error: Any, words: Sequence[str]) -> int:
    """Says what the parser of the command line refuses; its exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        output.say(error.format_message())
    else:
        output.say_error(build_usage_fault(error), find_format(words))
    return int(getattr(error, "exit_code", 2))


def build_usage_fault(error: Any) -> UsageFault:
    """The parser's error in our words."""
    context = getattr(error, "ctx", None)
    hint = f"`{context.command_path} --help`" if context is not None else ""
    option = getattr(error, "option_name", "")
    if type(error).__name__ == "NoSuchOption":
        value = next((word for word in _list_values(error) if _NEGATIVE.fullmatch(word)), option)
        if _NEGATIVE.fullmatch(value):
            return UsageFault(f"{value!r} is below zero", "amounts and numbers are positive: write 12.5")
        near = ", ".join(error.possibilities or ())
        return UsageFault(f"there is no option {option}", f"did you mean {near}?" if near else hint)
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    unknown = _UNKNOWN_VERB.match(message)
    if unknown and context is not None:
        verbs = get_close_matches(unknown[1], context.command.list_commands(context), 1)
        return UsageFault(f"there is no command {unknown[1]}", f"did you mean {verbs[0]}?" if verbs else hint)
    message = message.replace("Value error, ", "")  # the words of the library that parses choices
    return UsageFault(message[:1].lower() + message[1:].rstrip("."), hint)


def _list_values(error: Any) -> list[str]:
    context = getattr(error, "ctx", None)
    return [*getattr(context, "args", ()), str(getattr(error, "option_name", ""))]
