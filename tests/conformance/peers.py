"""Random peers: every other worker is chosen equally often, and no two workers choose in step."""

from collections import Counter

import torch

from tests.conformance.recording import CHOOSES, Contact

__tracebackhide__ = True  # the message says it

CHOICES = 50
"""Choices for each other worker, so that a peer chosen twice as often as the others stands out."""

CHANCE = 1e-3
"""Probability that correct workers fail a check, over all seeds; with the one seed that is used, they always pass."""

Choices = dict[int, int]
"""One worker's choices: step -> peer."""


def choices(contacts: list[Contact]) -> Choices:
    """Return whom a worker chose in which step.

    It may put, get and send in one step, but with one peer.
    """
    chosen: Choices = {}
    for step, kind, peer in contacts:
        if kind in CHOOSES:
            assert chosen.setdefault(step, peer) == peer, f"two peers in step {step}: {chosen[step]} and {peer}"
    return chosen


def check_unbiased(everybody: list[Choices]) -> None:
    """Each worker chooses uniformly among all others (chi-square, corrected for as many tests as workers)."""
    size = len(everybody)
    tests = []
    for worker, chosen in enumerate(everybody):
        counts = Counter(chosen.values())
        assert counts.total() >= 5 * (size - 1), f"worker {worker} has chosen {counts.total()} times only"
        tests.append((chi_square([counts[peer] for peer in range(size) if peer != worker]), worker, counts))
    p, worker, counts = min(tests, key=lambda test: test[0])
    favourite, times = counts.most_common(1)[0]
    assert p * size > CHANCE, (
        f"worker {worker} chose worker {favourite} in {times / counts.total():.0%} of {counts.total()} choices, not in "
        f"{1 / (size - 1):.0%} (chi-square, p = {p:.0e}); all its choices: {dict(sorted(counts.items()))}"
    )


def check_independent(everybody: list[Choices]) -> None:
    """What one worker chooses says nothing of what another does (chi-square over pairs of choices).

    Where all choose each other, in a matching, they have agreed on it, and there is nothing to check.
    """
    size = len(everybody)
    if all(everybody[peer].get(step) == i for i, chosen in enumerate(everybody) for step, peer in chosen.items()):
        return
    pairs = [(a, b) for a in range(size) for b in range(a)]
    for a, b in pairs:
        both = list(zip(everybody[a].values(), everybody[b].values(), strict=False))
        ahead = Counter(((i - a) % size, (j - b) % size) for i, j in both)
        p = chi_square([ahead[i, j] for i in range(1, size) for j in range(1, size)])
        same = {
            "took the same step around the circle": sum(n for (i, j), n in ahead.items() if i == j),
            "chose the same worker": sum(i == j for i, j in both),
        }
        told = max(same, key=lambda what: same[what])
        assert p * len(pairs) > CHANCE, (
            f"workers {b} and {a} do not choose independently (chi-square, p = {p:.0e}): in {same[told]} of "
            f"{len(both)} choices they {told}; have they the same seed?"
        )


def chi_square(counts: list[int]) -> float:
    """Return the probability of counts at least as uneven as these if all cells are equally likely."""
    observed = torch.tensor(counts, dtype=torch.float64)
    expected = observed.mean()
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(torch.special.gammaincc(torch.tensor((len(counts) - 1) / 2, dtype=torch.float64), statistic / 2))
