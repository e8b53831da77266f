"""The values that the beacon's rules take from the genesis, and the check of certificates against
committees.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from consensus.errors import InvalidCertificate
from consensus.signing import SignatureChecker, verify_certificate
from consensus.types import Address as ConsensusAddress
from consensus.types import Certificate, ChainContext, Validator, ValidatorSet
from node.beacon.eras import Eras
from node.beacon.validators import BEACON_CHAIN, Members
from node.primitives.basics import Hash32, ShardId
from node.primitives.errors import InvalidBlock
from node.primitives.genesis import BEACON_TAG, Genesis, shard_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconRules:
    """The values that the transition takes from the genesis. `max_crosslinks` is per shard and beacon block.

    `dev_methods`: a block may be as late as the shard headers in it, whose clocks may be put ahead, and may
    take the network back. `era` is the era of the blocks that are signed under these rules; `eras` gives that
    of earlier heights.
    """

    genesis: Hash32
    shards: int
    max_crosslinks: int
    checker: SignatureChecker
    dev_methods: bool = False
    era: int = 0
    eras: Eras = field(default_factory=Eras)

    @classmethod
    def of(cls, genesis: Genesis, checker: SignatureChecker) -> "BeaconRules":
        return cls(
            genesis=genesis.hash,
            shards=genesis.shards,
            max_crosslinks=genesis.params.max_crosslinks,
            dev_methods=genesis.params.dev_methods,
            checker=checker,
        )

    def shard_context(self, shard: ShardId) -> ChainContext:
        return ChainContext(genesis=self.genesis, tag=shard_tag(shard), era=self.era)

    def beacon_context(self) -> ChainContext:
        return ChainContext(genesis=self.genesis, tag=BEACON_TAG, era=self.era)

    def context_at(self, chain: int, height: int) -> ChainContext:
        """The chain context of the signatures for that height of a shard, or of BEACON_CHAIN. Its era is the
        one in which the height was decided, not a later one.
        """
        eras = self.eras.upto(self.era)
        if chain == BEACON_CHAIN:
            return replace(self.beacon_context(), era=eras.at(height))
        shard = ShardId(chain)
        return replace(self.shard_context(shard), era=eras.at_shard(shard, height))


def check_certificate(
    ctx: ChainContext,
    members: Members,
    certificate: Certificate,
    *,
    height: int,
    block_hash: Hash32,
    checker: SignatureChecker,
    where: str,
) -> None:
    """Raise InvalidBlock unless `certificate` proves that `members` decided this block."""
    if certificate.height != height or certificate.block_id != bytes(block_hash):
        raise InvalidBlock(f"{where}: the certificate is for another block")
    try:
        verify_certificate(ctx, validator_set(members), certificate, checker)
    except InvalidCertificate as error:
        raise InvalidBlock(f"{where}: certificate: {error}") from None


@lru_cache(maxsize=4096)
def validator_set(members: Members) -> ValidatorSet:
    """A committee of the state as consensus wants it; powers are stakes in wei."""
    return ValidatorSet(
        Validator(address=ConsensusAddress(address), power=stake) for address, stake in members
    )
