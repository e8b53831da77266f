"""Blob transactions (EIP-4844, 7691), for the conformance suites only.

Nothing decodes one from the wire and a node cannot include one. But the public state tests contain them, and a
rule that those runs leave out is not checked at all.
"""

from dataclasses import dataclass

from node.execution.frame.context import BlockContext
from node.execution.trie.errors import FeeTooLow
from node.primitives.errors import InvalidTransaction
from node.primitives.transaction import Transaction

GAS_PER_BLOB = 1 << 17
MAX_BLOBS = 9
UPDATE_FRACTION = 5_007_716
MIN_BASE_FEE = 1
VERSION_KZG = 1


@dataclass(frozen=True, kw_only=True)
class BlobTransaction(Transaction):
    """A type 3 transaction. Fees in wei per blob gas."""

    max_fee_per_blob_gas: int
    blob_hashes: tuple[bytes, ...]

    @property
    def blob_gas(self) -> int:
        return GAS_PER_BLOB * len(self.blob_hashes)


def blob_base_fee(excess_blob_gas: int) -> int:
    """Wei per blob gas: an integer approximation of e^(excess / fraction)."""
    total, term, step = 0, MIN_BASE_FEE * UPDATE_FRACTION, 1
    while term > 0:
        total += term
        term = term * excess_blob_gas // (UPDATE_FRACTION * step)
        step += 1
    return total // UPDATE_FRACTION


def check_blobs(tx: BlobTransaction, context: BlockContext) -> None:
    """Check the blobs of a transaction. Raises InvalidTransaction."""
    if tx.to is None:
        raise InvalidTransaction("input string too short for common.Address: blob creation")
    if not tx.blob_hashes:
        raise InvalidTransaction("blob transaction missing blob hashes")
    if len(tx.blob_hashes) > MAX_BLOBS:
        raise InvalidTransaction(
            f"blob transaction has too many blobs: have {len(tx.blob_hashes)}, max {MAX_BLOBS}"
        )
    for index, blob_hash in enumerate(tx.blob_hashes):
        if blob_hash[0] != VERSION_KZG:
            raise InvalidTransaction(f"blob {index} has invalid hash version")
    if tx.max_fee_per_blob_gas < context.blob_base_fee:
        raise FeeTooLow(
            f"max fee per blob gas less than block blob gas fee: maxFeePerBlobGas: "
            f"{tx.max_fee_per_blob_gas}, blobBaseFee: {context.blob_base_fee}"
        )
