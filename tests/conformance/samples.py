"""An epoch is one pass of all workers together over the data."""

from collections import Counter

__tracebackhide__ = True  # the message says it

Draws = list[tuple[list[int], int]]
"""The samples of each batch, or part of one, with their epoch."""


def check_one_pass(everybody: list[Draws], num_samples: int, epochs: int) -> None:
    """In each epoch all workers together draw every sample once; in the one begun last, at most once.

    Args:
        everybody: what each worker drew in a run of so many epochs.
    """
    counts: dict[int, Counter[int]] = {}
    for draws in everybody:
        for indices, epoch in draws:
            counts.setdefault(epoch, Counter()).update(indices)
    for epoch in range(epochs):
        times = counts.get(epoch, Counter())
        how_often = Counter(times[sample] for sample in range(num_samples))
        assert how_often == {1: num_samples}, (
            f"in epoch {epoch} the {len(everybody)} workers together drew {times.total()} samples of {num_samples}: "
            + ", ".join(f"{how_often[k]} of them {k} times" for k in sorted(how_often))
            + "; an epoch is one pass of all workers together"
        )
    beyond = {epoch: max(times.values()) for epoch, times in counts.items() if epoch >= epochs}
    assert set(beyond) <= {epochs} and set(beyond.values()) <= {1}, (
        f"a run of {epochs} epochs drew {sum(counts[epoch].total() for epoch in beyond)} samples of epochs "
        f"{sorted(beyond)}"
    )


def check_budget(everybody: list[Draws], num_samples: int, epochs: int) -> None:
    """Workers that draw different numbers of samples draw those of so many passes together, and no sample twice in an
    epoch: each begins an epoch when it is through with its own part of the last.

    Args:
        everybody: what each worker drew in a run of so many epochs.
    """
    counts: dict[int, Counter[int]] = {}
    for draws in everybody:
        for indices, epoch in draws:
            counts.setdefault(epoch, Counter()).update(indices)
    for epoch, times in counts.items():
        twice = sum(count > 1 for count in times.values())
        assert twice == 0, f"in epoch {epoch} the {len(everybody)} workers together drew {twice} samples more than once"
    drawn = sum(times.total() for times in counts.values())
    assert drawn >= epochs * num_samples, f"a run of {epochs} epochs of {num_samples} samples drew {drawn}"


def check_counts(drawn: list[int], steps: list[int], counted: list[int], batch_size: int) -> None:
    """Every step draws one mini-batch, and the count of the samples of all workers is right.

    Args:
        drawn: samples drawn by each worker.
        steps: of each worker.
        counted: by each worker, of all workers' samples.
    """
    for worker, (samples, taken) in enumerate(zip(drawn, steps, strict=True)):
        assert samples == taken * batch_size, (
            f"worker {worker} drew {samples} samples in {taken} steps of {batch_size}: a step is one mini-batch"
        )
    assert set(counted) == {sum(drawn)}, f"all workers drew {sum(drawn)} samples, and count {sorted(set(counted))}"
