"""EASGD: Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651).

Its experiments on CIFAR-10 are in `easgd_cifar`, their times in `easgd_times`, its theory in `easgd_theory`.
"""

from repro.papers import easgd_cifar, easgd_theory, easgd_times
from repro.papers.paper import Paper

PAPER = Paper(
    "easgd",
    "EASGD",
    "Zhang, Choromanska, LeCun. Deep Learning with Elastic Averaging SGD. NeurIPS 2015, arXiv 1412.6651 v8.",
    easgd_cifar.CELLS,
    (*easgd_cifar.CLAIMS, *easgd_theory.CLAIMS),
    platform="titan-infiniband",
    studies=(easgd_times.STUDY, *easgd_theory.STUDIES),
)
