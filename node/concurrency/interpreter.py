"""The settings of the process that execution needs; checked once, when a node starts.

A call chain of 1,024 frames is legal. Each takes a few Python frames, so threads that execute need a stack of
`STACK_BYTES` and the process a recursion limit of `RECURSION_LIMIT`; memory is only used where a call chain is
really deep.
"""

import sys

from node.primitives.basics import keccak_fast
from node.primitives.errors import UserError

STACK_BYTES = 256 * 1024 * 1024
RECURSION_LIMIT = 20_000


def check_interpreter() -> None:
    """Refuse to run where execution would be wrong, and allow deep calls.

    Raises UserError under -O (py-evm and its libraries validate by `assert`), and if keccak is not the fast
    implementation that was installed for it.
    """
    if not __debug__:
        raise UserError(
            "atoll cannot run with python -O or PYTHONOPTIMIZE: checks of the EVM would be left out; "
            "start it without them"
        )
    backend = getattr(keccak_fast, "__module__", "")
    if backend != "eth_hash.backends.pysha3":
        raise UserError(
            f"keccak is computed by {backend}, not by pysha3: unset ETH_HASH_BACKEND and "
            "install safe-pysha3"
        )
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
