"""The reason of a failed transaction in one line."""

from typing import Any

import pytest

from node.cluster.client.reason import why_it_failed
from node.cluster.errors import RpcRefused, RpcUnreachable

A, B, C = ("0x" + letter * 40 for letter in "abc")


def line(path: list[str | None]) -> str:
    found = {"reason": "not now", "at": path[-1], "path": path}
    return why_it_failed(lambda *_: found, "0x11")


def test_it_names_the_account_and_its_callers() -> None:
    assert line([A]) == f"not now (in {A})"
    assert line([A, B, C]) == f"not now (in {C}, called by {B} <- {A})"
    assert line([A, None]) == f"not now (in the new contract, called by {A})"


@pytest.mark.parametrize("error", [RpcRefused(-32000, "no such block"), RpcUnreachable("no node")])
def test_where_no_node_tells_it_that_is_said(error: Exception) -> None:
    def ask(*_: str) -> Any:
        raise error

    assert str(error) in why_it_failed(ask, "0x11")
