"""Decoders of foreign bytes: each raises its declared error and nothing else.

Bytes from a peer, from the disk or from a user's file may be anything. Python reports bad bytes by a dozen
exceptions, and a caller that forgets one of them ends its task, and with it the node. So a decoder is marked
with `decoder`, or a part of it with `decoding`: any exception that bad input causes becomes the declared error,
with its cause.

Exceptions that say nothing about the input pass unchanged: MemoryError, OSError, AssertionError, and those of
our errors that the decoder names in `also`. `tests/property/decoders.py` feeds every decoder with broken input.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import msgspec

from node.primitives.errors import DecodeError

P = ParamSpec("P")
R = TypeVar("R")

BAD_INPUT: tuple[type[Exception], ...] = (
    DecodeError,
    msgspec.MsgspecError,
    ValueError,  # UnicodeDecodeError, JSONDecodeError and CodecError of consensus are ValueErrors
    LookupError,
    TypeError,
    AttributeError,  # a list where bytes should be
    ArithmeticError,
    RecursionError,
    EOFError,
    struct.error,
    zlib.error,
)

Make = Callable[[str], Exception]
"""The class of the declared error, or a function that makes one from a text."""


def decoder(
    what: str, error: Make = DecodeError, *, also: tuple[type[Exception], ...] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a decoder of `what`: for bad input it raises `error`, or one of the errors in `also`."""
    own = (error,) if isinstance(error, type) else ()
    declared: tuple[type[Exception], ...] = (*own, *also)

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def decode(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except declared:
                raise
            except BAD_INPUT as failure:
                raise error(_words(what, failure)) from failure

        decode.__dict__["declared"] = declared
        return decode

    return mark


@contextmanager
def decoding(what: str, error: Make = DecodeError) -> Iterator[None]:
    """The same as `decoder`, for a part of a function."""
    own: tuple[type[Exception], ...] = (error,) if isinstance(error, type) else ()
    try:
        yield
    except own:
        raise
    except BAD_INPUT as failure:
        raise error(_words(what, failure)) from failure


def _words(what: str, failure: Exception) -> str:
    """The failure in one line, without a quotation of the whole input."""
    if isinstance(failure, UnicodeDecodeError):
        text = f"not UTF-8 at byte {failure.start}"
    elif isinstance(failure, LookupError):
        text = f"{type(failure).__name__}: {failure}"
    else:
        text = str(failure) or type(failure).__name__
    text = text[:500]
    return f"{what}: {text}" if what else text
