"""Solves for the schedules of the published graphs: `python -m baselines.parts.matcha_solutions` writes them anew."""

import json
from typing import Any

from baselines.parts.matcha_schedule import SOLUTIONS, solve
from baselines.parts.topology import published_matchings, published_sizes

BUDGETS = (0.02, *(k / 10 for k in range(1, 11)))
"""The smallest of the paper's figures, and the others in steps of a tenth."""

Solutions = dict[str, dict[str, dict[str, Any]]]
"""Graph -> budget -> probabilities, alpha and rho."""


def solutions() -> Solutions:
    """Return `solve` of all published graphs at the budgets `BUDGETS`."""
    return {
        spec: {f"{budget:g}": _solution(spec, size, budget) for budget in BUDGETS}
        for spec, size in published_sizes().items()
    }


def _solution(spec: str, size: int, budget: float) -> dict[str, Any]:
    found = solve(published_matchings(spec), size, budget)
    return {"probabilities": list(found.probabilities), "alpha": found.alpha, "rho": round(found.rho, 10)}


def text(solutions: Solutions) -> str:
    """Return them as JSON, a line for each budget."""
    graphs = []
    for spec, of_graph in solutions.items():
        lines = [f"    {json.dumps(budget)}: {json.dumps(solution)}" for budget, solution in of_graph.items()]
        graphs.append(f"  {json.dumps(spec)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(graphs) + "\n}\n"


if __name__ == "__main__":
    SOLUTIONS.write_text(text(solutions()))
