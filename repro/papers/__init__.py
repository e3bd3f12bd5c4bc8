"""The papers, one a file: their cells and their claims."""

from repro.papers import adpsgd, demo, dpsgd, easgd, goyal, lupa, matcha, memsgd, nonblocking, qsgd, sgp, swarmsgd
from repro.papers.paper import Paper

PAPERS: dict[str, Paper] = {
    paper.key: paper
    for paper in (
        swarmsgd.PAPER,
        dpsgd.PAPER,
        adpsgd.PAPER,
        sgp.PAPER,
        matcha.PAPER,
        easgd.PAPER,
        lupa.PAPER,
        nonblocking.PAPER,
        goyal.PAPER,
        qsgd.PAPER,
        memsgd.PAPER,
        demo.PAPER,
    )
}
"""Every paper of the suite by its key. A new paper is a file beside this one and an entry here."""
