"""Which process of an MPI program this is, as far as that can be told without starting MPI."""

import os
import sys

_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "MV2_COMM_WORLD_RANK")


def is_main() -> bool:
    """Whether this is rank 0, or no MPI program."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized():
        return bool(mpi.COMM_WORLD.Get_rank() == 0)
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
