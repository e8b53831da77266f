"""What starting and stopping a network raises beside UserError.

AtollError
|-- InvariantBroken     what must hold of every network does not hold: a bug of ours
|-- NetworkFailed       the network was started and did not come up; the text says which part
`-- RpcError            a question to a node was not answered
    |-- RpcUnreachable  nothing answers there, or not in time
    `-- RpcRefused      the node answered with an error
"""

from node.primitives.errors import AtollError


class InvariantBroken(AtollError):
    """What must hold of every network at every height does not; the text says where."""


class NetworkFailed(AtollError):
    """The processes were started, but there is no working network."""


class RpcError(AtollError):
    """No answer to use."""


class RpcUnreachable(RpcError):
    """Connection refused, cut or too slow, or what answers is no JSON-RPC endpoint."""


class RpcRefused(RpcError):
    """A JSON-RPC error object; `data` is, of a revert, what the contract returned as 0x-hex."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.data = data
