"""Mistakes in the beacon chain, its crosslinks and punishments, and in the light client."""

from tests.mutants.mistake import Mistake


def unit(*names: str) -> tuple[str, ...]:
    """Files of the unit tests of the beacon."""
    return tuple(f"tests/unit/beacon/test_{name}.py" for name in names)


MUTATIONS = ("tests/unit/light/test_proof_mutations.py",)
PROOFS = ("tests/unit/light/test_proof_of_messages.py",)

BEACON = (
    Mistake(
        name="any-parent-does",
        file="node/beacon/crosslinks.py",
        old="    if header.parent_hash != tip.hash:",
        new="    if not header.parent_hash:",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="anchors-go-back",
        file="node/beacon/crosslinks.py",
        old="    if anchor < tip.anchor_height:",
        new="    if anchor < 0:",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="an-outbox-may-stand-still",
        file="node/beacon/crosslinks.py",
        old="    if move.count <= lane.last:",
        new="    if move.count < lane.last:",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="consume-what-was-never-sent",
        file="node/beacon/crosslinks.py",
        old="    if not lane.consumed < move.count <= lane.last:",
        new="    if not lane.consumed < move.count:",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="checkpoints-stay-too-long",
        file="node/beacon/crosslinks.py",
        old="    left = tuple(c for c in lane.checkpoints if c.count > move.count)",
        new="    left = tuple(c for c in lane.checkpoints if c.count >= move.count)",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="crosslinks-without-a-certificate",
        file="node/beacon/crosslinks.py",
        old="    _check_decided(rules, writer.committee(shard, tip.anchor_height), crosslink)\n",
        new="",
        suite=unit("crosslinks", "forged"),
    ),
    Mistake(
        name="births-of-anybody",
        file="node/beacon/crosslinks.py",
        old="if not may_be_twice and creator not in here and state.home",
        new="if not may_be_twice and creator in here and state.home",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="a-predeploys-contract-in-its-range-has-no-entry",
        file="node/beacon/crosslinks.py",
        old="((may_be_twice and entry is None) or state.home(address) != shard)",
        new="state.home(address) != shard",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="a-shard-gives-away-what-it-has-not",
        file="node/beacon/crosslinks.py",
        old="    if not 0 <= wei < 1 << WEI_BITS:",
        new="    if not -(1 << 200) <= wei < 1 << WEI_BITS:",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="more-wei-arrive-than-left",
        file="node/beacon/crosslinks.py",
        old="    if not lane.consumed_wei <= move.wei <= proof.wei:",
        new="    if not lane.consumed_wei <= move.wei:",
        suite=unit("crosslinks"),
    ),
    Mistake(
        name="a-strange-certificate-is-a-fork",
        file="node/beacon/evidence.py",
        old="        if any(certificate.height != one.height for certificate in certificates):",
        new="        if any(certificate.height < 0 for certificate in certificates):",
        suite=unit("evidence", "forged"),
    ),
    Mistake(
        name="forks-are-not-verified",
        file="node/beacon/offences.py",
        old="                verify_certificate(context, validators, certificate, rules.checker)",
        new="                assert certificate",
        suite=unit("evidence", "forged"),
    ),
    Mistake(
        name="evidence-in-any-order",
        file="node/beacon/punishment.py",
        old="    if any(a.order >= b.order for a, b in pairwise(items)):",
        new="    if any(a.order > b.order for a, b in pairwise(items)):",
        suite=unit("evidence"),
    ),
    Mistake(
        name="half-of-what-is-due",
        file="node/beacon/penalties.py",
        old="    return min(base, max(least, correlated))",
        new="    return min(base, least)",
        suite=unit("penalties", "evidence"),
    ),
    Mistake(
        name="a-window-too-long",
        file="node/beacon/penalties.py",
        old="    return height - opened_at < SLASHING_WINDOW",
        new="    return height - opened_at <= SLASHING_WINDOW",
        suite=unit("penalties", "evidence"),
    ),
    Mistake(
        name="anybody-proposes-on-the-beacon",
        file="node/beacon/transition.py",
        old="    if all(header.proposer != address for address, _ in state.beacon_committee()):",
        new="    if not state.beacon_committee():",
        suite=unit("transition", "chain"),
    ),
    Mistake(
        name="terms-begin-too-early",
        file="node/beacon/committees.py",
        old="        terms = (*terms, Term(first=tip.height + 1, anchor=tip.anchor_height))",
        new="        terms = (*terms, Term(first=tip.height, anchor=tip.anchor_height))",
        suite=unit("committees", "evidence"),
    ),
    Mistake(
        name="an-era-needs-no-quorum",
        file="node/beacon/era_proof.py",
        old="        record.certificate,\n        height=block.height,",
        new="        chain.certificate(chain.head.height),\n        height=block.height,",
        suite=unit("rewind", "forged"),
    ),
    Mistake(
        name="a-proof-leaves-out-a-committee",
        file="node/light/beacon.py",
        old="            if roster.members(header.height - 1) != committee:",
        new="            if not roster.members(header.height - 1):",
        suite=PROOFS,
    ),
    Mistake(
        name="headers-of-a-proof-hang-loose",
        file="node/light/beacon.py",
        old="            if headers[index].hash != headers[index + 1].parent_hash:",
        new="            if headers[index].number > headers[index + 1].number:",
        suite=MUTATIONS,
    ),
    Mistake(
        name="a-proof-with-another-certificate",
        file="node/light/beacon.py",
        old="        if certificate.height != height or certificate.block_id != bytes(block_hash):",
        new="        if certificate.height != height:",
        suite=MUTATIONS + PROOFS,
    ),
    Mistake(
        name="another-message-is-proven",
        file="node/light/verify.py",
        old='        raise InvalidProof("sent", "the message and the hashes do not chain to the lane\'s head")',
        new="        pass",
        suite=MUTATIONS,
    ),
    Mistake(
        name="another-item-is-the-delivery",
        file="node/light/verify.py",
        old="        if item != encode_arrival(message):",
        new="        if item is None:",
        suite=MUTATIONS + PROOFS,
    ),
)
