"""Checks a run's options before any rank is started."""

from dataclasses import fields

from baselines import ALGORITHMS
from baselines.parts.topology import graph_sequence, topology
from repro.errors import UserError
from repro.runs.spec import Run, check_types
from repro.tasks import check_options
from repro.tasks.data.partition import parse
from repro.worlds.delays import parse as parse_delays
from repro.worlds.platform import WORKLOADS


def check(run: Run) -> None:
    """Check that algorithm, task, partition and all their options exist and fit the number of workers.

    Raises:
        UserError: one of them does not.
    """
    if run.algorithm not in ALGORITHMS:
        raise UserError(f"unknown algorithm {run.algorithm!r}; known: {', '.join(ALGORITHMS)}")
    if run.timed_as is not None and run.timed_as not in WORKLOADS:
        raise UserError(f"unknown model to be timed {run.timed_as!r}; known: {', '.join(WORKLOADS)}")
    parse_delays(run.delays or "constant")
    check_options(run.task, dict(run.task_config))
    parse(run.partition)
    config_class = ALGORITHMS[run.algorithm].Config
    known = [field.name for field in fields(config_class)]
    for option, _ in run.config:
        if option not in known:
            raise UserError(f"{run.algorithm} has no option {option!r}; known: {', '.join(known)}")
    check_types(config_class, dict(run.config))
    config = config_class(**dict(run.config))
    if "topology" in known:
        graphs = graph_sequence if run.algorithm == "sgp" else topology  # the others' are static and undirected
        graphs(config.topology, run.workers)
