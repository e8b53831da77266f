"""A small JSON-RPC client over http.client, for the commands that ask nodes."""

import http.client
import itertools
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from node.cluster.errors import RpcRefused, RpcUnreachable
from node.config.node_config import join_host_port
from node.primitives.decoding import BAD_INPUT

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
"""Listening hosts that stand for every address of a machine, and the loopback address to reach each at."""

MAX_ANSWER_BYTES = 64 << 20
BATCH = 100
_ids = itertools.count(1)


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | None = None
    result: Any = None
    error: _Error | None = None


# Made here, since msgspec crashes if two threads are the first to decode into one type.
decode_answer = msgspec.json.Decoder(_Answer).decode
decode_answers = msgspec.json.Decoder(list[_Answer]).decode


def call(url: str, method: str, *params: object, timeout: float = 5.0) -> Any:
    """The result of a method at an http:// endpoint. `timeout` in seconds holds for each wait.

    Raises RpcUnreachable or RpcRefused.
    """
    body, status = _post(url, _request(method, params), timeout)
    try:
        answer = decode_answer(body)
    except BAD_INPUT:
        raise _not_json_rpc(url, status) from None
    return _result(answer)


def call_each(
    url: str, calls: Sequence[tuple[str, Sequence[object]]], *, timeout: float = 30.0
) -> list[Any]:
    """The result of each of many calls, or the RpcRefused that was its answer. Raises RpcUnreachable."""
    results: list[Any] = []
    for start in range(0, len(calls), BATCH):
        batch = [_request(method, params) for method, params in calls[start : start + BATCH]]
        body, status = _post(url, batch, timeout)
        try:
            found = {answer.id: answer for answer in decode_answers(body)}
            answers = [found[request["id"]] for request in batch]
        except BAD_INPUT:
            raise _not_json_rpc(url, status) from None
        for answer in answers:
            results.append(answer.result if answer.error is None else _refused(answer.error))
    return results


def call_many(
    url: str, calls: Sequence[tuple[str, Sequence[object]]], *, timeout: float = 30.0
) -> list[Any]:
    """The results of many calls. Raises RpcUnreachable, or RpcRefused if one is refused."""
    results = call_each(url, calls, timeout=timeout)
    for result in results:
        if isinstance(result, RpcRefused):
            raise result
    return results


def _request(method: str, params: Sequence[object]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": params}


def _result(answer: _Answer) -> Any:
    if answer.error is not None:
        raise _refused(answer.error)
    return answer.result


def _refused(error: _Error) -> RpcRefused:
    return RpcRefused(error.code, error.message, error.data)


def _not_json_rpc(url: str, status: str) -> RpcUnreachable:
    return RpcUnreachable(f"{url} is not a JSON-RPC endpoint: it answers {status}")


def _post(url: str, request: object, timeout: float) -> tuple[bytes, str]:
    """(body, status line)"""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    try:
        connection.request(
            "POST",
            place.path or "/",
            msgspec.json.encode(request),
            {"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        body = response.read(MAX_ANSWER_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RpcUnreachable(f"{url} does not answer: {reason}") from None
    finally:
        connection.close()
    if len(body) > MAX_ANSWER_BYTES:
        raise RpcUnreachable(f"{url}: the answer is over {MAX_ANSWER_BYTES} bytes")
    return body, f"{response.status} {response.reason}"


def endpoint(host: str, port: int, scheme: str = "http") -> str:
    """The URL at which a server listening at (host, port) is reached from this machine."""
    host = WILDCARDS.get(host, host)
    return f"{scheme}://{join_host_port(host, port)}"
