"""The options of a network for tests, and the manifest made from them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from node.cluster.manifest import Manifest
from node.primitives.errors import UserError


class Options(TypedDict, total=False):
    """The default is 2 shards of 1 validator with development methods, on random free ports.

    `validators` of each shard, or a number for every one of them. At least `accounts_per_shard` funded accounts
    are at home on every shard, with `balance_ether` each; the first ten are those of `atoll up`. `params` are
    those of [params] in network.toml. `seed` gives the same keys every time. `log_level` of the nodes is
    `debug`, `info`, `warning` or `error`. `manifest` is all else that network.toml can say, by its sections:
    `{"nodes": {"s0v0": {"stake_ether": 320}}}`.
    """

    shards: int
    validators: int | Sequence[int]
    beacon_size: int
    chain_id: int
    accounts_per_shard: int
    balance_ether: int
    params: Mapping[str, float | int | bool]
    seed: str
    log_level: str
    manifest: Mapping[str, Any]


DEFAULT_SHARDS = 2
DEFAULT_VALIDATORS = 1
_SECTIONS = {
    "accounts_per_shard": ("accounts", "per_shard"),
    "balance_ether": ("accounts", "balance_ether"),
    "log_level": ("log", "level"),
}


def manifest_of(options: Options) -> Manifest:
    """The manifest of such a network. Raises UserError: no such option, or a value that cannot be."""
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise UserError(
            f"no such option of a network: {', '.join(unknown)}; they are "
            + ", ".join(Options.__annotations__)
        )
    document: dict[str, Any] = {
        "shards": DEFAULT_SHARDS,
        "validators": DEFAULT_VALIDATORS,
        "rpc": {"port": 0},
        "params": {"dev_methods": True},
    }
    _merge(document, options.get("manifest", {}))
    for key, value in options.items():
        if key != "manifest":
            section, name = _SECTIONS.get(key, (None, key))
            _merge(document, {name: value} if section is None else {section: {name: value}})
    return _converted(document).check()


def with_sections(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of both; of a section key by key, and `more` goes first. Raises UserError."""
    document = dict(base)
    _merge(document, more)
    return document


def _merge(document: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add what `more` says; of a section, key by key. Raises UserError."""
    _converted(more)  # by itself, so that sections meet only sections
    for key, value in more.items():
        known = document.get(key, {})
        document[key] = {**known, **value} if isinstance(value, Mapping) else value


def _converted(document: Mapping[str, Any]) -> Manifest:
    try:
        return msgspec.convert(document, Manifest)
    except msgspec.ValidationError as error:
        raise UserError(f"options of a network: {error}") from None
