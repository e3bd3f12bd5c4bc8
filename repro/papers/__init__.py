"""The papers, one a file: their cells and their claims."""

from repro.papers import adpsgd, demo, dpsgd, lupa, matcha, sgp, swarmsgd
from repro.papers.paper import Paper

PAPERS: dict[str, Paper] = {
    paper.key: paper
    for paper in (swarmsgd.PAPER, dpsgd.PAPER, adpsgd.PAPER, sgp.PAPER, matcha.PAPER, lupa.PAPER, demo.PAPER)
}
"""Every paper of the suite by its key. A new paper is a file beside this one and an entry here."""
