"""The errors of the endpoint, in two trees with different readers.

The user of the endpoint reads an `RpcError`: it becomes the `error` member of a JSON-RPC answer,
its message is for that user, and raising one is the normal way for a backend to refuse::

    RpcError(code, message, data)
    ├── ParseError             -32700  the body is not JSON
    ├── InvalidRequest         -32600  JSON, but not a JSON-RPC 2.0 request
    ├── MethodNotFound         -32601
    ├── NotificationsUnsupported -32601
    ├── InvalidParams          -32602  which argument, and why
    ├── InternalError          -32603  our bug: a report id, nothing else leaves the process
    ├── ServerError            -32000  geth's catch-all, with geth's wording
    │   └── TransactionRejected        the pool refused a raw transaction
    ├── ResourceNotFound       -32001
    ├── ResourceUnavailable    -32002  known, but not now (syncing, the shard is unreachable)
    │   └── RequestTimedOut
    ├── ResponseTooLarge       -32003
    ├── MethodNotSupported     -32004  known, refused, and why
    ├── LimitExceeded          -32005
    └── ExecutionReverted           3  with the revert data

The operator that starts the server reads a `ListenError`::

    ListenError
    └── RpcPortInUse

Codes: https://www.jsonrpc.org/specification#error_object, EIP-1474, and go-ethereum `rpc/errors.go`
for 3, -32002 and -32003.
"""

from typing import Any


class RpcError(Exception):
    """An answer to the caller. `data` must be something JSON can carry, or None to leave it out."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class ParseError(RpcError):
    """The body is not JSON (or is nested too deeply to be read)."""

    def __init__(self, why: str) -> None:
        super().__init__(-32700, f"parse error: {why}")


class InvalidRequest(RpcError):
    """JSON, but not a JSON-RPC 2.0 request."""

    def __init__(self, why: str) -> None:
        super().__init__(-32600, why)


class MethodNotFound(RpcError):
    """The method is unknown here, in geth's words because clients match them."""

    def __init__(self, method: str) -> None:
        super().__init__(-32601, f"the method {method} does not exist/is not available")


class NotificationsUnsupported(RpcError):
    """A subscription over a transport that cannot carry one; geth's code and words."""

    def __init__(self) -> None:
        super().__init__(-32601, "notifications not supported: subscribe over WebSocket")


class MethodNotSupported(RpcError):
    """A method that other nodes have and this one refuses. The message says why."""

    def __init__(self, method: str, why: str) -> None:
        super().__init__(-32004, f"the method {method} is not supported: {why}")


class InvalidParams(RpcError):
    """An argument is missing, superfluous or malformed; the message says which one and why."""

    def __init__(self, message: str) -> None:
        super().__init__(-32602, message)


class InternalError(RpcError):
    """A bug of ours. The log has the traceback under `report_id`; the caller gets only the id."""

    def __init__(self, report_id: str) -> None:
        super().__init__(-32603, f"internal error (report {report_id}, see the node's log)")
        self.report_id = report_id


class ServerError(RpcError):
    """A refusal without a code of its own, such as geth's `header not found`."""

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(-32000, message, data)


class TransactionRejected(ServerError):
    """A raw transaction was not taken. Use geth's texts (`nonce too low: ...`, `insufficient funds
    for gas * price + value: ...`, `already known`): wallets and libraries match on them."""


class ResourceNotFound(RpcError):
    """The request names something that does not exist, for example a shard number."""

    def __init__(self, message: str) -> None:
        super().__init__(-32001, message)


class ResourceUnavailable(RpcError):
    """The request names something that exists, but cannot be served now; trying again is reasonable."""

    def __init__(self, message: str) -> None:
        super().__init__(-32002, message)


class RequestTimedOut(ResourceUnavailable):
    """The request, or the rest of its batch, used up its time."""

    def __init__(self, why: str = "") -> None:
        super().__init__(f"request timed out: {why}" if why else "request timed out")


class ResponseTooLarge(RpcError):
    """The answers of one batch are larger than the server is willing to hold."""

    def __init__(self) -> None:
        super().__init__(-32003, "response too large")


class LimitExceeded(RpcError):
    """The request is legal but asks for more than this node gives (log range, block count)."""

    def __init__(self, message: str) -> None:
        super().__init__(-32005, message)


class ExecutionReverted(RpcError):
    """A call ended in REVERT, in geth's words. `data` is the output, possibly empty, `reason` its text."""

    def __init__(self, data: bytes, reason: str | None = None) -> None:
        text = f"execution reverted: {reason}" if reason else "execution reverted"
        super().__init__(3, text, "0x" + data.hex())


class ListenError(Exception):
    """The server cannot listen at the address it was given."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"JSON-RPC cannot listen on {join_host_port(host, port)}: {why}")
        self.host = host
        self.port = port


class RpcPortInUse(ListenError):
    """Another program listens there."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            host,
            port,
            "the port is in use by another program. Stop that program "
            f"(`ss -ltnp 'sport = :{port}'` names it) or choose another JSON-RPC port",
        )


def join_host_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
