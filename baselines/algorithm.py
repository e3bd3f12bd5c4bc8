"""The contract of an algorithm: what one worker does in one step."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from torch import Tensor

from repro.worker import Worker
from repro.worlds.comm import Comm


class Algorithm(ABC):
    """One paper's method, written in blocking SPMD style: every worker runs the same program.

    It knows its `worker` and its `comm`, and no world, file, clock or other worker's memory.

    Attributes:
        Config: a frozen dataclass of the method's options; a wrong value raises UserError.
        state: names of the attributes, beyond the worker's own, that must survive a restart. An object among the
            attributes whose class has such names, too, may hold what is under way.
        equal_steps: whether all workers take the run's `num_steps`. Where faster workers draw more samples than slower
            ones, a run ends with a budget of samples of all workers together, that of `num_steps` each: all workers
            agree on a count of them, which the method tells its worker (`Worker.drawn_by_all`), and when it is used up.
        asynchronous: whether nobody waits for what another does in its step, so that the run can be saved anywhere.
        survives: whether the others can go on when a worker has died: in a step, waiting for one that has raises
            RankLost, and `Comm.lost` has those that are known to.
        allreduces: whether steps reduce over all workers, for which the MPI world starts Horovod.
        the_model: which model the paper speaks of: the mean of the workers' shares, or the centre, which is rank 0's
            share.

    A method with an option `servers` runs on so many ranks beyond its workers: they open windows as all do, take no
    step, and hold what the others reach for. It counts workers by `worker.size`, ranks by `comm.size`.
    """

    Config: ClassVar[type]
    state: ClassVar[tuple[str, ...]] = ()
    equal_steps: ClassVar[bool] = True
    asynchronous: ClassVar[bool] = False
    survives: ClassVar[bool] = False
    allreduces: ClassVar[bool] = False
    the_model: ClassVar[Literal["mean", "centre"]] = "mean"

    def __init__(self, worker: Worker, comm: Comm, config: Any) -> None:
        self.worker, self.comm, self.config = worker, comm, config

    @abstractmethod
    def step(self) -> None:
        """Take one local step: draw one mini-batch, update the model, communicate where the method does."""

    def finished(self) -> bool:
        """Return whether this worker's run is over."""
        return self.worker.steps >= self.worker.num_steps

    def cut(self) -> int:
        """Return how far this worker is, in what all workers can count to with no message then under way: where all
        have counted to the same number, the run can be saved."""
        return self.worker.steps

    def check_survivors(self) -> None:
        """Check that the workers not in `Comm.lost` are still one system; a method that survives says how.

        Raises:
            RankLost: they are not.
        """
        raise NotImplementedError

    def measures(self) -> dict[str, float]:
        """Return what this worker has measured of the method itself, such as staleness, for the record."""
        return {}

    def model(self) -> Tensor:
        """Return this worker's share, shape (d,), of *the* model, see `the_model`."""
        return self.worker.params
