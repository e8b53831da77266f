"""The positional parameters of a method: their types, and the errors of values that came."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from rpc.errors import InvalidParams


class _Required:
    """The default of a parameter that has none."""


REQUIRED = _Required()

_decode_json = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: its name for messages, its decoder (raises ValueError), and the value it has when
    it is left out or, if it has such a value, null."""

    name: str
    decode: Callable[[object], Any]
    default: Any = REQUIRED


def bind(spec: tuple[Param, ...], raw: msgspec.Raw | bytes | None) -> list[Any]:
    """The arguments of a call. `raw` is the JSON of its `params`, None if it had none.

    Raises InvalidParams naming the argument.
    """
    values = _positional(raw)
    if len(values) > len(spec):
        raise InvalidParams(
            f"too many arguments, want at most {len(spec)}"
            if spec
            else "too many arguments, this method takes none"
        )
    arguments = []
    for i, param in enumerate(spec):
        value = values[i] if i < len(values) else None
        if value is None and param.default is not REQUIRED:
            arguments.append(param.default)
            continue
        if value is None:
            raise InvalidParams(f"missing value for required argument {i} ({param.name})")
        try:
            arguments.append(param.decode(value))
        except ValueError as error:
            raise InvalidParams(f"invalid argument {i} ({param.name}): {error}") from None
    return arguments


def _positional(raw: msgspec.Raw | bytes | None) -> list[Any]:
    if raw is None:
        return []
    try:
        values = _decode_json(raw)
    except ValueError:
        # The envelope was read without looking into the params: here bad UTF-8 comes to light.
        raise InvalidParams("params are not valid JSON") from None
    if values is None:
        return []
    if not isinstance(values, list):
        raise InvalidParams("params must be an array: arguments by name are not supported")
    return values
