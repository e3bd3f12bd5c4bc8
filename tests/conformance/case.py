"""What an algorithm says of itself, for the properties that need to know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from baselines.algorithm import Algorithm
from repro.runs.spec import Sgd

if TYPE_CHECKING:
    from tests.conformance.limits import Reference

Timing = Literal["lockstep", "blocking", "asynchronous"]

SIZES = (1, 2, 3, 4, 5, 8)

MOMENTUM = Sgd(0.1, momentum=0.9, weight_decay=1e-2, milestones=(0.5,))


@dataclass(frozen=True)
class Limit:
    """A limit in which the algorithm is another, simpler one.

    Args:
        name: what it is then, e.g. `one worker is plain SGD`.
        expected: the workers' parameters after the run, see `tests.conformance.limits`.
        sizes: the numbers of workers for which it holds.
        config: options, beyond the case's, that make the limit.
        steps: of the run, as a function of the number of workers.
        tolerance: ||x - expected|| / ||expected||; 0 for equality bit for bit.
    """

    name: str
    expected: "Reference"
    sizes: tuple[int, ...] = SIZES
    config: Mapping[str, Any] = field(default_factory=dict)
    sgd: Sgd = MOMENTUM
    steps: Callable[[int], int] = lambda n: 20
    tolerance: float = 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """An algorithm with options, and what must be true of it.

    Args:
        method: the algorithm.
        config: its options, where they differ from the defaults.
        bytes_sent: (n, d) -> bytes that one worker sends in one step, in the mean over steps and workers.
        bytes_received: the same of those that it receives; as many as are sent where None.
        period: n -> steps after which the union of the communication graphs is connected.
        bounded: whether a period has that many steps on real ranks, too; not where workers wait for others as long as
            those take, and go on meanwhile.
        sizes: the numbers of workers it is for.
        averages: whether parameters are averaged, rather than gradients.
        preserves: whether communication preserves the mass itself, and not its expectation alone.
        exact: whether vectors arrive as they were sent, to float32's rounding.
        chooses_every: steps after which each worker chooses a peer, uniformly among all others; 0 where it does not.
        timing: `lockstep` where workers communicate after the same number of steps; `blocking` where they wait for
            each other, but at different numbers of steps; `asynchronous` where they do not wait, so that the order of
            events is the world's.
        mass: the vector whose sum over the workers communication leaves as it is; the share of *the* model by default.
        weight: of a gradient in the models of all workers together, times its learning rate; None where it depends on
            what others have done.
        memory: learning-rate-scaled gradients that this worker has taken but not applied; none by default.
        limits: in which it is another algorithm.
    """

    method: type[Algorithm]
    config: Mapping[str, Any] = field(default_factory=dict)
    bytes_sent: Callable[[int, int], float] | None = None
    bytes_received: Callable[[int, int], float] | None = None
    period: Callable[[int], int] = lambda n: 1
    bounded: bool = True
    sizes: tuple[int, ...] = SIZES
    averages: bool = True
    preserves: bool = True
    exact: bool = True
    chooses_every: int = 0
    timing: Timing = "lockstep"
    mass: Callable[[Any], Tensor] = lambda algorithm: algorithm.model()
    weight: float | None = 1.0
    memory: Callable[[Any], Tensor] | None = None
    limits: tuple[Limit, ...] = ()

    @property
    def name(self) -> str:
        """The algorithm and its options, for the names of tests."""
        return "-".join([self.method.__name__, *(f"{name}={value}" for name, value in self.config.items())])

    def __repr__(self) -> str:
        return self.name

    def steps(self, n: int) -> int:
        """Whole periods of a run in which everybody can reach everybody: if the graphs of each period connect all
        workers and each keeps a part of its own, n - 1 periods are enough."""
        period = self.period(n)
        return period * max(2, n - 1, -(-12 // period))
