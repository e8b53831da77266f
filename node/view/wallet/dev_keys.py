"""The keys of the development accounts, for `eth_sendTransaction` and `eth_sign`.

`atoll init` and `atoll up` write them to accounts.json beside the genesis. A node of another making has no
such file, lists its `dev_accounts` and signs for none of them.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from node.primitives.decoding import decoding
from node.primitives.errors import UserError
from node.primitives.keys import SigningKey

FILE = "accounts.json"
MAX_BYTES = 16 << 20

log = structlog.get_logger()


class _Row(msgspec.Struct, rename="camel"):
    address: str
    private_key: str


def load_dev_keys(genesis: Path, addresses: Iterable[bytes]) -> dict[bytes, SigningKey]:
    """The keys of those `addresses` that the file beside `genesis` has, by address.

    A file that is not readable is reported in the log and holds no keys: a node that only lacks a
    convenience has to start.
    """
    path = genesis.parent / FILE
    wanted = set(addresses)
    if not wanted:
        return {}
    try:
        with path.open("rb") as file, decoding("not a list of accounts", UserError):
            rows = msgspec.json.decode(file.read(MAX_BYTES), type=list[_Row])
            keys = [SigningKey(bytes.fromhex(row.private_key.removeprefix("0x"))) for row in rows]
    except FileNotFoundError:
        return {}
    except (OSError, UserError) as error:
        log.warning("no development keys", file=str(path), error=str(error))
        return {}
    return {key.address: key for key in keys if key.address in wanted}
