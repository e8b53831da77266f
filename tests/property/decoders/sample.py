"""A random value of a msgspec type, within what its annotations allow."""

import random
from typing import Any

import msgspec
from msgspec import inspect as kinds

from node.primitives.fields import U256, Word


def sample(kind: Any, rnd: random.Random) -> Any:
    """Of the types that questions and answers between nodes are made of."""
    return _of(kinds.type_info(kind), rnd)


def _of(info: kinds.Type, rnd: random.Random) -> Any:
    match info:
        case kinds.BoolType():
            return rnd.random() < 0.5
        case kinds.IntType(ge=ge, gt=gt, le=le, lt=lt):
            low = ge if ge is not None else gt + 1 if gt is not None else 0
            high = le if le is not None else lt - 1 if lt is not None else (1 << 63) - 1
            return min(max(rnd.choice((low, high, rnd.randrange(300))), low), high)
        case kinds.FloatType():
            return rnd.choice((0.0, 0.5, 1e9))
        case kinds.StrType():
            return rnd.choice(("", "callTracer", "execution reverted: \u00e9"))
        case kinds.BytesType(min_length=None, max_length=None):
            return rnd.randbytes(rnd.choice((20, 20, 20, 32, 0)))  # most are addresses
        case kinds.BytesType(min_length=low, max_length=high):
            return rnd.randbytes(_length(low, high, rnd, 70))
        case kinds.NoneType():
            return None
        case kinds.ListType(item_type=item, min_length=low, max_length=high):
            return [_of(item, rnd) for _ in range(_length(low, high, rnd, 3))]
        case kinds.TupleType(item_types=items):
            return tuple(_of(item, rnd) for item in items)
        case kinds.VarTupleType(item_type=item, min_length=low, max_length=high):
            return tuple(_of(item, rnd) for _ in range(_length(low, high, rnd, 3)))
        case kinds.DictType(key_type=key, value_type=value):
            return {_of(key, rnd): _of(value, rnd) for _ in range(rnd.randrange(3))}
        case kinds.UnionType(types=options):
            return _of(rnd.choice(options), rnd)
        case kinds.LiteralType(values=values):
            return rnd.choice(values)
        case kinds.StructType(cls=cls, fields=fields):
            bare = rnd.random() < 0.7  # what need not be there is not
            given = [field for field in fields if field.required or not bare]
            return _unchecked(cls, {field.encode_name: _of(field.type, rnd) for field in given})
        case kinds.DataclassType(fields=fields):
            bare = rnd.random() < 0.7
            given = [field for field in fields if field.required or not bare]
            return {field.encode_name: _of(field.type, rnd) for field in given}
        case kinds.CustomType(cls=cls) if issubclass(cls, U256):
            return rnd.randbytes(32 if cls is Word else rnd.randrange(33))
        case kinds.Metadata(type=inner):
            return _of(inner, rnd)
    raise TypeError(f"no sample of {info}")


def _length(low: int | None, high: int | None, rnd: random.Random, usual: int) -> int:
    least = low or 0
    return rnd.randint(least, max(least, min(usual, usual if high is None else high)))


def _unchecked(cls: type[msgspec.Struct], values: dict[str, Any]) -> Any:
    """As builtins, since the struct's own checks may refuse a random value: whoever decodes finds out."""
    config = cls.__struct_config__
    if config.array_like:
        return list(values.values())
    return ({config.tag_field: config.tag} if config.tag_field else {}) | values
