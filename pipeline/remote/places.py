"""An address as the ``Target`` that stands behind it."""

from pipeline.cluster_file import ClusterFile
from pipeline.remote.target import Target


def place(address: str, cluster: ClusterFile | None = None) -> tuple[Target, ClusterFile]:
    """The target, and the cluster's description with what the address says of it.

    ``slurm:`` with or without a shared folder is Slurm as its commands find it here; all else is the
    address of a Ray dashboard. Touches nothing; a mistake is a ``UserError``.
    """
    from pipeline.remote import slurm
    from pipeline.remote.api import Jobs

    described = cluster or ClusterFile()
    if not address.startswith(slurm.SCHEME):
        return Jobs(address), described
    folder = slurm.folder_of(address, described.runs)
    found = slurm.Slurm(folder, described.slurm)
    return found, described.model_copy(update={"runs": str(folder), "address": found.address})
