"""All-gather of vectors whose lengths differ."""

import torch
from torch import Tensor

from repro.worlds.comm import Comm


def allgather_any_length(comm: Comm, x: Tensor) -> list[Tensor]:
    """Return the x of all ranks, 1-d and of whatever lengths, in the order of the ranks; all ranks call this.

    The lengths, 4 bytes each, are gathered first; then every rank sends its x to every other, so that a rank sends
    n - 1 times the bytes of its own x and nothing is padded.
    """
    lengths = comm.allgather(torch.tensor([x.numel()], dtype=torch.int32)).view(-1).tolist()
    gathered = [x if rank == comm.rank else x.new_empty(length) for rank, length in enumerate(lengths)]
    hops = range(1, comm.size)  # in the hop k everybody sends to the k-th after it: nobody receives from two at once
    sends = [comm.isend(x, (comm.rank + hop) % comm.size) for hop in hops if x.numel()]
    sources = [(comm.rank - hop) % comm.size for hop in hops]
    receives = [comm.irecv(gathered[source], source) for source in sources if lengths[source]]
    for pending in (*receives, *sends):
        pending.wait()
    return gathered
