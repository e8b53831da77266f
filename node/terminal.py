"""Text of others on a person's terminal: characters that would steer it are made visible instead.

Reasons of reverts, names of tokens, versions and errors of nodes, and with them the logs, hold text that
others wrote. A terminal takes some of that for commands: colours, titles, moves of the cursor, another
direction of the text. Every command prints through this module.
"""

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TextIO, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# C0 but tab and new line, DEL, C1 (8-bit escapes), and the marks that turn the direction of what follows
_STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str, *, one_line: bool = False) -> str:
    """`text` with a picture (U+2400 and following, or U+FFFD) for each character that steers a terminal.

    `one_line`: also for what begins a new line, which could be taken for a line of its own.
    """
    shown = _STEERING.sub(_picture, text)
    return shown.replace("\n", "\u240a") if one_line else shown


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def plain_json(text: str) -> str:
    """A JSON document in which such characters are escapes: its meaning stays."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: object = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """Print a line, or several."""
    (file or sys.stdout).write(plain(str(text)) + "\n")
    if flush:
        (file or sys.stdout).flush()


def legible(value: Any, *, markup: bool = True) -> Any:
    """An answer of a node, for rich: plain, and without what rich would take for `markup`."""
    if isinstance(value, str):
        from rich.markup import escape  # slow to import

        text = plain(value, one_line=True)
        return escape(text) if markup else text
    if isinstance(value, Mapping):
        return {
            legible(key, markup=markup): legible(item, markup=markup) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [legible(item, markup=markup) for item in value]
    return value


def shows(draw: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Mark what draws an answer of a node, its first argument, with rich."""

    def drawn(document: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return draw(legible(document), *args, **kwargs)

    drawn.__doc__, drawn.__name__ = draw.__doc__, draw.__name__
    return drawn
