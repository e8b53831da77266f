"""eth_config (EIP-7910): which rules the chain follows."""

import zlib
from typing import Any

from node.execution.evm.precompile_table import PRECOMPILES
from node.execution.state.system_contracts import BEACON_ROOTS_ADDRESS, HISTORY_ADDRESS
from node.primitives.messenger import BEACON
from rpc.encoding import data
from rpc.wire import BlockView

BLOB_FRACTION = 5_007_716
"""Prague's (EIP-7691); it never matters, since a block may have no blob."""

_NAMES = {
    int.from_bytes(BEACON, "big"): "ATOLL_BEACON",
    0x01: "ECREC",
    0x02: "SHA256",
    0x03: "RIPEMD160",
    0x04: "ID",
    0x05: "MODEXP",
    0x06: "BN254_ADD",
    0x07: "BN254_MUL",
    0x08: "BN254_PAIRING",
    0x09: "BLAKE2F",
    0x0A: "KZG_POINT_EVALUATION",
    0x0B: "BLS12_G1ADD",
    0x0C: "BLS12_G1MSM",
    0x0D: "BLS12_G2ADD",
    0x0E: "BLS12_G2MSM",
    0x0F: "BLS12_PAIRING_CHECK",
    0x10: "BLS12_MAP_FP_TO_G1",
    0x11: "BLS12_MAP_FP2_TO_G2",
}


def fork_config(genesis: BlockView, chain_id: int) -> dict[str, Any]:
    """One set of rules, Prague's, from `genesis` on; no other is planned.

    The fork id (EIP-6122) is that of the genesis alone, as of any chain that began with its last fork.
    """
    assert genesis.hash is not None, "only a pending block has no hash"
    names = {_NAMES[int.from_bytes(address, "big")]: address for address in PRECOMPILES}
    current = {
        "activationTime": genesis.timestamp,
        "blobSchedule": {"target": 0, "max": 0, "baseFeeUpdateFraction": BLOB_FRACTION},
        "chainId": hex(chain_id),
        "forkId": "0x" + zlib.crc32(genesis.hash).to_bytes(4, "big").hex(),
        "precompiles": {name: data(names[name]) for name in sorted(names)},
        "systemContracts": {
            "BEACON_ROOTS_ADDRESS": data(BEACON_ROOTS_ADDRESS),
            "HISTORY_STORAGE_ADDRESS": data(HISTORY_ADDRESS),
        },
    }
    return {"current": current, "next": None, "last": None}
