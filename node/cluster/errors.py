"""The errors of starting and stopping a network, beside UserError.

AtollError
|-- InvariantBroken     an invariant of every network does not hold: a bug of ours
|-- NetworkFailed       the network was started and did not come up; the text says which part
`-- RequestFailed            a question to a node was not answered
    |-- RpcUnreachable  nothing answers there, or not in time
    `-- RpcRefused      the node answered with an error
"""

from node.primitives.errors import AtollError


class InvariantBroken(AtollError):
    """An invariant of every network at every height does not hold; the text says where."""


class NetworkFailed(AtollError):
    """The processes were started, but there is no working network."""


class RequestFailed(AtollError):
    """A node gave no usable answer."""


class RpcUnreachable(RequestFailed):
    """Connection refused, cut or too slow, or what answers is no JSON-RPC endpoint."""


class RpcRefused(RequestFailed):
    """A JSON-RPC error object; `data` is the revert data of a contract as 0x-hex, if any."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.data = data
