"""Cells that are about time alone: a few steps in the simulated world, on a paper's machine.

What is trained is a small network on the digits, since the time of a step does not depend on it; gradients and messages
are timed as those of the paper's model.
"""

from collections.abc import Mapping
from typing import Any

from repro.papers.paper import Recipe
from repro.runs.spec import Run, Scale, Sgd, options
from repro.worlds.platform import key_of

STEPS, DIGITS = 12, 1437


def timing(
    algorithm: str,
    platform: str,
    timed_as: str,
    *,
    workers: int,
    batch_size: int,
    swept: bool = False,
    steps: int = STEPS,
    delays: str | None = None,
    **config: Any,
) -> Recipe:
    """Return the recipe of one method, the same at all scales.

    Args:
        workers: of this cell, whatever is asked for.
        swept: whether the cell is run on several numbers of workers, and follows what is asked for.
        batch_size: of a worker.
        delays: how gradient times vary; all the same by default.
        config: the method's options.
    """

    def recipe(scale: Scale, seed: int, asked: int | None) -> Run:
        n = asked if asked and swept else workers
        own = config | ({"reference_batch": 0} if algorithm == "largebatch" else {})  # its learning rate is not scaled
        return Run(
            algorithm=algorithm,
            config=options(**own),
            task="digits",
            workers=n,
            seed=seed,
            batch_size=batch_size,
            epochs=(steps - 0.5) * n * batch_size / DIGITS,
            sgd=Sgd(0.01),
            scale=scale,
            evaluations=1,
            world="simulated",
            platform=key_of(platform),
            delays=delays,
            timed_as=timed_as,
        )

    return recipe


def by_scale(recipes: Mapping[Scale, Recipe]) -> Recipe:
    """Return the recipe that is another one at each scale, on its own number of workers, whatever is asked for."""

    def recipe(scale: Scale, seed: int, asked: int | None) -> Run:
        return recipes[scale](scale, seed, None)

    return recipe
