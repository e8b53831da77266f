"""The methods: name -> parameters -> a call of the backend -> JSON.

`METHODS` is the whole surface of the endpoint, by module:

- `chain`: blocks, transactions, receipts, logs;
- `state`: accounts, simulated calls, fees;
- `node`: the node itself, its pool;
- `debug`: encodings and traces;
- `wallet`: signatures with the keys that it holds;
- `filters`: filters and subscriptions;
- `development`: what anvil and hardhat let a developer do, where the genesis allows it;
- `atoll`: shards, lanes, messages;
- `faults`: what a node is told to do wrong, or to suffer, where the genesis allows it;
- `refused`: the methods that are known and not offered, with the reason.

Optional trailing arguments default as in geth; the block, where there is one, to "latest".
"""

from rpc.errors import MethodNotFound, MethodNotSupported
from rpc.methods import atoll, chain, debug, development, faults, filters, node, state, wallet
from rpc.methods.refused import REFUSED
from rpc.methods.table import Context, Method

METHODS: dict[str, Method] = {
    **node.METHODS,
    **chain.METHODS,
    **state.METHODS,
    **debug.METHODS,
    **wallet.METHODS,
    **filters.METHODS,
    **development.METHODS,
    **atoll.METHODS,
    **faults.METHODS,
}


async def _modules(_: Context) -> dict[str, str]:
    """The namespaces, as geth lists them."""
    return dict.fromkeys(sorted({name.partition("_")[0] for name in METHODS}), "1.0")


METHODS["rpc_modules"] = Method((), _modules)


def lookup(name: str) -> Method:
    """The method of that name. Raises MethodNotFound, MethodNotSupported."""
    method = METHODS.get(name)
    if method is None:
        if name in REFUSED:
            raise MethodNotSupported(name, REFUSED[name])
        raise MethodNotFound(name if len(name) <= 100 else name[:100] + "...")
    return method
