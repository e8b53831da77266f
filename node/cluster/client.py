"""A small JSON-RPC client over http.client, for the commands that ask nodes."""

import http.client
import itertools
from typing import Any
from urllib.parse import urlsplit

import msgspec

from node.cluster.errors import RpcRefused, RpcUnreachable

MAX_ANSWER_BYTES = 64 << 20
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


def call(url: str, method: str, *params: object, timeout: float = 5.0) -> Any:
    """The result of a method at an http:// endpoint. `timeout` in seconds holds for each wait.

    Raises RpcUnreachable or RpcRefused.
    """
    place = urlsplit(url)
    request = {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": params}
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
        raise RpcUnreachable(f"{url}: the answer to {method} is over {MAX_ANSWER_BYTES} bytes")
    try:
        answer = decode_answer(body)
    except msgspec.MsgspecError:
        raise RpcUnreachable(
            f"{url} is not a JSON-RPC endpoint: it answers {response.status} {response.reason}"
        ) from None
    if answer.error is not None:
        raise RpcRefused(answer.error.code, answer.error.message, answer.error.data)
    return answer.result


def endpoint(host: str, port: int, scheme: str = "http") -> str:
    """The URL at which a server listening at (host, port) is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
