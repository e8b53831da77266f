"""Following messages on a network: the tree of a transaction as it grows, and what subscribers are told."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from threading import Thread
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_websocket

from node.cluster.faults.injection import CausedFault
from tests.cluster.support.client import WAIT_SECONDS, call, wait_for

STAGES = ("sent", "finalised", "delivered")


class Subscriber:
    """What one node tells over a WebSocket, from now on: `events` by message id, in the order in which they
    came."""

    def __init__(self, endpoint: str, wanted: dict[str, Any] | None = None) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {}
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            open_websocket(endpoint.replace("http://", "ws://"))
        )
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe"}
        self._socket.send(json.dumps({**request, "params": ["atoll_messages", wanted or {}]}))
        answer = json.loads(self._socket.recv(timeout=WAIT_SECONDS))
        assert "result" in answer, answer
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for text in self._socket:
                event = json.loads(text)["params"]["result"]
                self.events.setdefault(event["message"]["id"], []).append(event)
        except ConnectionClosed:
            pass

    def stages(self, message_id: str) -> tuple[str, ...]:
        return tuple(event["event"] for event in self.events.get(message_id, ()))

    def close(self) -> None:
        self._open.close()
        self._thread.join()


def below(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of a tree, without its root."""
    for child in node["children"]:
        yield child
        yield from below(child)


def shape(node: dict[str, Any]) -> tuple[str, str, int, list[Any]]:
    """(kind, outcome, shard, children) of a tree."""
    return node["kind"], node["outcome"], node["shard"], [shape(c) for c in node["children"]]


def follow(endpoint: str, tx_hash: str, held: Sequence[CausedFault]) -> list[dict[str, Any]]:
    """Every tree that the node shows of a transaction until it is complete; checks that it only grows.

    The lanes that are `held` are let go one by one, when the tree shows one more message: it waits there.
    """
    trees: list[dict[str, Any]] = []
    known: dict[str, dict[str, Any]] = {}
    lanes = iter(held)

    def grown() -> bool:
        document = call(endpoint, "atoll_trace", [tx_hash])
        if document is None or (trees and document == trees[-1]):
            return False
        trees.append(document)
        found = {node["id"]: node for node in [document["root"], *below(document["root"])]}
        more = len(found) > max(len(known), 1)
        for name, before in known.items():
            after = found[name]  # nothing that was told is taken back
            for key, value in before.items():
                assert value in (None, after[key]) or key in ("children", "status"), (
                    key,
                    before,
                    after,
                )
        known.update(found)
        assert document["messages"] == len(found) - 1
        if more and (lane := next(lanes, None)) is not None:
            assert document["underWay"]
            lane.heal()
        return bool(document["complete"])

    wait_for(grown, f"the tree of {tx_hash} to be complete")
    return trees
