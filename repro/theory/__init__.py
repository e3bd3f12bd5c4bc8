"""The papers' mathematics, readable beside them: formulas, exact recursions and Monte Carlo, in numpy and scipy."""
