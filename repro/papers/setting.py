"""How a paper trains at each scale, and the recipes that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from repro.papers.paper import Recipe
from repro.runs.spec import Options, Run, Scale, Sgd, options
from repro.worlds.platform import key_of


@dataclass(frozen=True)
class Setting:
    """One scale of a paper's experiment: what its methods have in common.

    Args:
        sgd: the local optimiser, with the learning rate for one worker.
        warmup_epochs: of methods whose learning rate is scaled with the number of workers; None for none.
        partition: how samples are dealt to workers.
        platform: a machine of `repro/worlds/platforms/`, where the runs are made in the simulated world.
        delays: how gradient times vary there.
        timed_as: the model whose gradients and messages are timed there.
    """

    task: str
    task_config: Options
    workers: int
    batch_size: int
    epochs: float
    evaluations: int
    sgd: Sgd
    warmup_epochs: float | None = None
    partition: str = "iid"
    platform: str | None = None
    delays: str | None = None
    timed_as: str | None = None


Settings = Mapping[Scale, Setting]


def recipe(
    settings: Settings,
    algorithm: str,
    *,
    workers: int | None = None,
    scaled: bool = False,
    multiplier: float = 1.0,
    at: Mapping[Scale, Mapping[str, Any]] | None = None,
    delays: str | None = None,
    **config: Any,
) -> Recipe:
    """Return the recipe of one method.

    Args:
        workers: the cell's own number, where neither scale nor command decides it.
        scaled: whether the learning rate is that of one worker times their number, after the setting's warm-up (the
            linear scaling rule, Goyal et al. 2017); large-batch SGD does so itself.
        multiplier: passes over the data, relative to the setting's.
        at: options of the method that differ between scales.
        delays: how gradient times vary, in place of the setting's.
        config: the method's options.
    """

    def make(scale: Scale, seed: int, asked: int | None) -> Run:
        setting = settings[scale]
        if delays is not None:
            setting = replace(setting, delays=delays)
        n, sgd = workers or asked or setting.workers, setting.sgd
        own = {**config, **(at[scale] if at else {})}
        if algorithm == "largebatch":
            own |= {"reference_batch": setting.batch_size if scaled else 0}
            own |= {"warmup_epochs": setting.warmup_epochs or 0} if scaled else {}
        elif scaled:
            warmup_lr = None if setting.warmup_epochs is None else sgd.lr
            sgd = replace(sgd, lr=sgd.lr * n, warmup_epochs=setting.warmup_epochs, warmup_lr=warmup_lr)
        return Run(
            algorithm=algorithm,
            config=options(**own),
            task=setting.task,
            task_config=setting.task_config,
            workers=n,
            seed=seed,
            batch_size=setting.batch_size,
            epochs=setting.epochs * multiplier,
            sgd=sgd,
            scale=scale,
            evaluations=setting.evaluations,
            partition=setting.partition,
            world="mpi" if setting.platform is None else "simulated",
            platform=None if setting.platform is None else key_of(setting.platform),
            delays=setting.delays,
            timed_as=setting.timed_as,
        )

    return make
