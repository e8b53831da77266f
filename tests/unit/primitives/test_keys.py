"""Keys and signatures against eth_keys."""

import pytest
from eth_keys import keys as reference

from node.primitives.basics import keccak256
from node.primitives.errors import UserError
from node.primitives.keys import (
    CURVE_ORDER,
    HALF_ORDER,
    KeccakSecp256k1,
    SigningKey,
    address_of_public_key,
    recover_digest,
)

SECRETS = [keccak256(b"secret %d" % n) for n in range(8)] + [
    (1).to_bytes(32, "big"),
    (CURVE_ORDER - 1).to_bytes(32, "big"),
]


@pytest.mark.parametrize("secret", SECRETS)
def test_addresses_and_signatures_are_those_of_eth_keys(secret: bytes) -> None:
    ours, theirs = SigningKey(secret), reference.PrivateKey(secret)
    assert ours.address == theirs.public_key.to_canonical_address()
    assert ours.secret == secret
    assert address_of_public_key(b"\x04" + theirs.public_key.to_bytes()) == ours.address
    for n in range(8):
        digest = keccak256(b"message %d" % n)
        signature = ours.sign_digest(digest)
        assert signature == theirs.sign_msg_hash(digest).to_bytes()
        assert signature == ours.sign_digest(digest)
        assert int.from_bytes(signature[32:64], "big") <= HALF_ORDER
        assert recover_digest(digest, signature) == ours.address
        recovered = reference.Signature(signature).recover_public_key_from_msg_hash(digest)
        assert recovered.to_canonical_address() == ours.address


def test_the_checker_hashes_the_preimage() -> None:
    key = SigningKey(SECRETS[0])
    signature = key.sign_digest(keccak256(b"vote"))
    assert KeccakSecp256k1().recover(b"vote", signature) == key.address
    assert KeccakSecp256k1().recover(b"other", signature) != key.address


def test_the_mirrored_high_s_signature_is_refused() -> None:
    digest = keccak256(b"vote")
    signature = SigningKey(SECRETS[0]).sign_digest(digest)
    high = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    mirrored = signature[:32] + high.to_bytes(32, "big") + bytes([1 - signature[64]])
    assert recover_digest(digest, mirrored) is None


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\1" * 64,
        b"\1" * 66,
        b"\0" * 65,
        b"\1" * 32 + b"\0" * 32 + b"\0",  # s = 0
        b"\0" * 32 + b"\1" * 32 + b"\0",  # r = 0
        CURVE_ORDER.to_bytes(32, "big") + b"\1" * 32 + b"\0",  # r is not below the order
        b"\xff" * 32 + b"\1" * 32 + b"\1",
        b"\0" * 31 + b"\5" + b"\1" * 32 + b"\0",  # no curve point has x = 5
        b"\1" * 32 + b"\1" * 32 + b"\2",  # recovery ids 2 and 3 have no EVM form
        b"\1" * 32 + b"\1" * 32 + b"\x1b",
    ],
)
def test_what_is_no_signature_recovers_to_nobody(signature: bytes) -> None:
    assert recover_digest(keccak256(b"vote"), signature) is None


def test_a_digest_of_another_size_recovers_to_nobody() -> None:
    signature = SigningKey(SECRETS[0]).sign_digest(keccak256(b"vote"))
    assert recover_digest(b"short", signature) is None


@pytest.mark.parametrize(
    "secret",
    [b"", b"\1" * 31, b"\1" * 33, b"\0" * 32, CURVE_ORDER.to_bytes(32, "big"), b"\xff" * 32],
)
def test_a_secret_out_of_range_is_a_users_mistake(secret: bytes) -> None:
    with pytest.raises(UserError, match="32 bytes between 1 and the curve order"):
        SigningKey(secret)
