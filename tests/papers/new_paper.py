"""A paper as a person would add it: its values, two cells and two claims, in 40 lines."""

from repro.papers.measures import megabytes_per_step, top1
from repro.papers.paper import Cell, Claim, Evidence, Paper, Recipe
from repro.report.statistics import Finding, at_least, at_most, difference, ratio
from repro.runs.spec import Run, Scale, Sgd, options
from repro.worlds.platform import key_of

VALUES = """paper,cell,method,dataset,model,workers,metric,value,unit,spread,seeds,hardware,source,evidence,note
newcomer,every-step,Local SGD,digits,CNN,4,test_top1_percent,95.5,percent,0.2,5,one node,table 1,table,made up
newcomer,every-4,Local SGD,digits,CNN,4,test_top1_percent,95.1,percent,,,one node,table 1,table,made up"""


def local_sgd(period: int) -> Recipe:
    def recipe(scale: Scale, seed: int, workers: int | None) -> Run:
        epochs = {"smoke": 2, "laptop": 10, "paper": 50}[scale]
        run = Run("localsgd", "digits", workers or 4, seed, 16, epochs, Sgd(0.05), scale, options(local_steps=period))
        return run.replace(world="simulated", platform=key_of("piz-daint"))

    return recipe


def accurate(of: Evidence) -> Finding:
    return at_least(difference(top1(of["every-4"]), top1(of["every-step"])), -9.0, "points")


def frugal(of: Evidence) -> Finding:
    return at_most(ratio(megabytes_per_step(of["every-4"]), megabytes_per_step(of["every-step"])), 0.3, "of the bytes")


BOTH, WHERE = ("every-4", "every-step"), {"scales": ("smoke", "laptop"), "worlds": ("simulated",)}
CELLS = (
    Cell("every-4", "Local SGD, averaged every 4 steps", "Local SGD 4", "table 1", local_sgd(4)),
    Cell("every-step", "Local SGD, averaged every step", "Local SGD 1", "table 1", local_sgd(1)),
)
CLAIMS = (
    Claim("accurate", "Averaging every 4 steps costs at most 9 points.", "section 5", "text", BOTH, accurate, **WHERE),
    Claim("frugal", "It sends at most 0.3 times the bytes.", "section 5", "text", BOTH, frugal, **WHERE),
)
PAPER = Paper("newcomer", "Newcomer", "A. Newcomer. Local SGD, once more. 2026.", CELLS, CLAIMS, platform="piz-daint")
