"""Strict reading of TOML files that people write: an unknown or wrong key is an error that names it."""

import difflib
import re
import tomllib
import types
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
import tomli_w

from node.primitives.decoding import decoder
from node.primitives.errors import UserError
from node.primitives.files import read_file

MAX_FILE_BYTES = 4 << 20
MAX_LINE, MAX_PARTS = 4096, 64
"""A line with more characters, and with more dots as well, is refused."""

T = TypeVar("T", bound=msgspec.Struct)


def load_toml(path: Path, kind: type[T], *, what: str) -> T:
    """Read `path` as a `kind` (a msgspec Struct). `what` names the kind of file in error texts ("a manifest").

    Raises UserError: the file, the key and what is wrong with it.
    """
    content = read_file(path, what=what, limit=MAX_FILE_BYTES)
    try:
        return _struct(toml_document(content), kind)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def parse_toml(text: str, kind: type[T]) -> T:
    """`text` as a `kind`. Raises UserError without a path."""
    return _struct(toml_document(text.encode()), kind)


def _struct(document: dict[str, Any], kind: type[T]) -> T:
    _refuse_unknown_keys(document, kind, "")
    try:
        return _converted(document, kind)
    except msgspec.ValidationError as error:
        raise UserError(_in_words(str(error))) from None


@decoder("not valid TOML", UserError)
def toml_document(content: bytes) -> dict[str, Any]:
    """The tables of a TOML text. Raises UserError without a path."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"not a text file in UTF-8 (byte {error.start})") from None
    # tomllib takes time quadratic in the parts of a key.
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE and line.count(".") > MAX_PARTS:
            raise UserError(f"not valid TOML: line {number} is too long")
    return tomllib.loads(text)


@decoder("not what is expected", UserError, also=(msgspec.ValidationError,))
def _converted(document: dict[str, Any], kind: type[T]) -> T:
    return msgspec.convert(document, kind, dec_hook=_decode_path)


def _decode_path(kind: type, value: object) -> object:
    if kind is not Path:
        raise TypeError(f"{kind} has no place in these TOML files")
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a path is expected")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # a home directory of an unknown user, such as ~name
        raise ValueError(str(error)) from None


def _encode_path(value: object) -> object:
    if not isinstance(value, Path):
        raise TypeError(f"{type(value).__name__} has no place in these TOML files")
    return str(value)


def _refuse_unknown_keys(value: object, kind: Any, where: str) -> None:
    """Refuse unknown keys. msgspec refuses them as well, but without suggesting the key that was probably
    meant.
    """
    if get_origin(kind) in (Union, types.UnionType):
        structured = [option for option in get_args(kind) if option is not type(None)]
        kind = structured[0] if len(structured) == 1 else object
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(value, list) and origin in (list, tuple) and arguments:
        for index, item in enumerate(value):
            _refuse_unknown_keys(item, arguments[0], f"{where}[{index}]")
    elif isinstance(value, dict) and origin is dict:
        for key, item in value.items():
            _refuse_unknown_keys(item, arguments[1], f"{where}.{key}" if where else key)
    elif isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        for key, item in value.items():
            name = f"{where}.{key}" if where else key
            if key not in fields:
                raise UserError(f"unknown key {name!r}{_suggestion(key, list(fields))}")
            _refuse_unknown_keys(item, fields[key], name)


def _suggestion(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _in_words(message: str) -> str:
    """Reword msgspec's "Expected `int`, got `str` - at `$.rpc.port`" with the key first."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message)
    if not found:
        return message[:1].lower() + message[1:].replace("`", "'")
    reason, where = found[1].replace("`", "'"), found[2]
    return f"key {where!r}: {reason[:1].lower()}{reason[1:]}"


def render_toml(struct: msgspec.Struct) -> str:
    """Render a struct of scalars, lists of scalars, tables and lists of tables as TOML; None is left out."""
    table = msgspec.to_builtins(struct, enc_hook=_encode_path)
    return tomli_w.dumps(_without_none(table))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value
