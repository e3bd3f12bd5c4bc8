"""EASGD: Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651).

Its experiments on CIFAR-10 are in `easgd_cifar`.
"""

from repro.papers.easgd_cifar import CELLS, CLAIMS
from repro.papers.paper import Paper

PAPER = Paper(
    "easgd",
    "EASGD",
    "Zhang, Choromanska, LeCun. Deep Learning with Elastic Averaging SGD. NeurIPS 2015, arXiv 1412.6651 v8.",
    CELLS,
    CLAIMS,
    platform="titan-infiniband",
)
