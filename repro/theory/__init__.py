"""The papers' mathematics, readable beside them: formulas, exact recursions and Monte Carlo; numpy and scipy alone."""
