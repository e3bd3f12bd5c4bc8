"""The theory of the papers in numbers: closed forms, exact recursions and Monte Carlo, in numpy."""
