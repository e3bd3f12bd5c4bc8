"""Mixing, seen from outside: without gradients, and with worker i started at the unit vector e_i, the first n
parameters of a worker are the weights with which it has averaged the others, a row of the mixing matrix."""

import torch
from torch import Tensor

__tracebackhide__ = True  # the message says it
TOLERANCE = 1e-5


def starts(size: int, d: int) -> Tensor:
    """Return each worker's first parameters, shape (n, d): e_i in the first n, anything in the rest."""
    x = torch.randn(size, d, generator=torch.Generator().manual_seed(0))
    x[:, :size] = torch.eye(size)
    return x


def check_mass(mass: Tensor, looks: list[int]) -> None:
    """The sum over the workers stays as it was (columns of the mixing matrix sum to 1).

    Args:
        mass: what each worker had at each look, shape (n, len(looks), d), from `starts`.
    """
    size = len(mass)
    sums = mass.double().sum(0)
    for step, x in zip(looks, sums, strict=True):
        off = float((x - sums[0]).norm() / sums[0].norm())
        columns = [round(float(c), 4) for c in x[:size]]
        assert off < TOLERANCE, (
            f"after step {step} the sum of the workers' models is off by {off:.1%} though nothing was learned: mass is "
            f"lost or made; the columns of the mixing matrix sum to {columns}, not to 1"
        )


def check_averages(params: Tensor, looks: list[int]) -> None:
    """Every worker's parameters are an average (rows of the mixing matrix are not negative and sum to 1).

    Args:
        params: of each worker at each look, shape (n, len(looks), d), from `starts`.
    """
    rows = params[:, :, : len(params)].double()
    for k, step in enumerate(looks):
        for worker, row in enumerate(rows[:, k]):
            told = f"after step {step} worker {worker} weighs the workers' starts {[round(float(w), 4) for w in row]}"
            assert float(row.min()) > -TOLERANCE, f"{told}: a weight is negative"
            assert abs(float(row.sum()) - 1) < TOLERANCE, f"{told}: they sum to {float(row.sum()):.4f}, not to 1"


def check_consensus(params: Tensor, looks: list[int]) -> None:
    """Workers that agree, and learn nothing, stay where they are.

    Args:
        params: of each worker at each look, shape (n, len(looks), d), equal at the first.
    """
    start = params[0, 0].double()
    for k, step in enumerate(looks):
        for worker, x in enumerate(params[:, k].double()):
            off = float((x - start).norm() / start.norm())
            assert off < TOLERANCE, f"all workers agreed, and after step {step} worker {worker} has moved by {off:.1%}"


def check_spread(params: Tensor) -> None:
    """In the end everybody has something of everybody (the product of the mixing matrices is positive).

    Args:
        params: of each worker at the end, shape (n, d), from `starts`.
    """
    size = len(params)
    missing = [(i, j) for i in range(size) for j in range(size) if params[i, j] <= 0]
    assert not missing, "nothing has reached " + ", ".join(f"worker {i} from {j}" for i, j in missing[:6])
