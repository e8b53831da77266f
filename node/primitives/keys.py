"""secp256k1 keys and recoverable signatures (65 bytes: r || s || recovery id)."""

import coincurve

from node.primitives.basics import Address, keccak_fast
from node.primitives.errors import UserError

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER = CURVE_ORDER // 2


def address_of_public_key(uncompressed: bytes) -> Address:
    """The Ethereum address of a 65-byte uncompressed public key."""
    return Address(keccak_fast(uncompressed[1:])[12:])


def recover_digest(digest: bytes, signature: bytes) -> Address | None:
    """The address that signed a 32-byte digest, or None if the signature is invalid.

    Only low-s signatures are accepted (EIP-2), so that a signature cannot be changed into another.
    """
    if len(signature) != 65 or signature[64] > 1:
        return None
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        return None
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001 - coincurve raises bare Exception and ValueError alike
        return None
    return address_of_public_key(key.format(compressed=False))


class SigningKey:
    """A consensus key. Its Ethereum address is the validator's id."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
            raise UserError("a secp256k1 secret key is 32 bytes between 1 and the curve order")
        self._key = coincurve.PrivateKey(secret)
        self.address = address_of_public_key(self._key.public_key.format(compressed=False))

    @property
    def secret(self) -> bytes:
        return bytes(self._key.secret)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest (RFC 6979: deterministic, low-s). The same digest always gives the same 65
        bytes.
        """
        return bytes(self._key.sign_recoverable(digest, hasher=None))


class KeccakSecp256k1:
    """The signature checker that consensus is given: keccak256 of the preimage, then recovery."""

    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        return recover_digest(keccak_fast(preimage), signature)
