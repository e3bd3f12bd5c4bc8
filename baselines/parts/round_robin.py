"""Workers who take turns with one centre, which goes around among them."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from baselines.algorithm import Algorithm
from repro.worker import Worker
from repro.worlds.comm import Comm


class RoundRobin(Algorithm):
    """At clock t only worker t mod p is active: it gets the centre from the one before, and hands it on.

    Gradients are taken at a worker's own x^i, so they are computed while the centre is elsewhere; rank 0 waits until it
    is back, so that between its steps it has the centre as all have left it.
    """

    the_model = "centre"
    state: ClassVar[tuple[str, ...]] = ("centre",)

    def __init__(self, worker: Worker, comm: Comm, config: Any) -> None:
        super().__init__(worker, comm, config)
        self.centre = worker.params.clone()
        comm.broadcast(self.centre, 0)

    def step(self) -> None:
        i, p, eta = self.comm.rank, self.comm.size, self.worker.lr
        g = self.worker.regularised_gradient()
        if i > 0:
            self.comm.irecv(self.centre, i - 1).wait()
        self.turn(eta, g)
        if p > 1:
            self.comm.isend(self.centre, (i + 1) % p).wait()
        if i == 0 and p > 1:
            self.comm.irecv(self.centre, p - 1).wait()

    @abstractmethod
    def turn(self, eta: float, g: Tensor) -> None:
        """Do what the active worker does to its own state and to the centre; `g` is its gradient at x^i."""

    def model(self) -> Tensor:
        """Return the centre, on rank 0 the present one."""
        return self.centre
