"""All deliberate mistakes."""

from tests.mutants.beacon import BEACON
from tests.mutants.consensus import CONSENSUS
from tests.mutants.execution import EXECUTION
from tests.mutants.host import HOST
from tests.mutants.mistake import InProcess, Mistake
from tests.mutants.shards import SHARDS
from tests.mutants.storage import STORAGE
from tests.simulation.devnet.mutants import MUTANTS as OF_DEVNETS
from tests.simulation.simnet.mutants import MUTANTS as OF_CONSENSUS

MISTAKES: tuple[Mistake, ...] = (*CONSENSUS, *HOST, *STORAGE, *SHARDS, *BEACON, *EXECUTION)

IN_PROCESS: tuple[InProcess, ...] = (
    *(InProcess(name=name, kind="all", schedules=700) for name in sorted(OF_CONSENSUS)),
    *(InProcess(name=name, kind="devnet", schedules=60) for name in sorted(OF_DEVNETS)),
)
"""Those of the simulation's own lists, each with the schedules within which it has to be found."""
