"""web3.py's tests that are expected to fail, with the reason. A pattern is matched at a test's start."""

import re

ADMIN = (
    "peers, endpoints and the place of the data are set in the node's configuration, and not told"
)
NOT_GETH = "web3.py expects that the node's name has Geth in it"
TYPED_ASYNC = (
    "web3.py cannot send typed data from its asynchronous API: it takes the types for an ABI"
)
TYPED_ERROR = "web3.py expects the ValueError of a node in its process; ours refuses with -32602"

EXPECTED: dict[str, str] = {
    r"Test(Async)?Admin(Http|Ws)::test_(add_peer|(admin|async)_datadir|admin_peers|admin_start)": ADMIN,
    r"TestAsyncAdmin(Http|Ws)::test_async_node_info": NOT_GETH,
    r"TestAsyncEth(Http|Ws)::test_(invalid_)?eth_sign_typed_data": TYPED_ASYNC,
    r"TestEthHttp::test_invalid_eth_sign_typed_data": TYPED_ERROR,
}


def failure_reason(test: str) -> str | None:
    """Why a test (`Class::name[parameters]`) fails, None for one that passes."""
    for pattern, reason in EXPECTED.items():
        if re.match(pattern, test):
            return reason
    return None
