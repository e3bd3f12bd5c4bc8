"""The tables of the EASGD paper's theory: each function computes a study of `repro/papers/easgd_theory.py`."""

from typing import TYPE_CHECKING

from repro.runs.spec import Scale

if TYPE_CHECKING:
    import pandas as pd

ETA, RHO = 0.001, 2.5
"""Where section 4 shows ADMM diverging."""


def stability_maps(scale: Scale, seed: int) -> "pd.DataFrame":
    """Spectral radius of a round of ADMM, and of EASGD with alpha = eta rho, over 0 < eta <= 0.01 and 0 < rho <= 10."""
    import numpy as np

    from repro.theory.stability import round_map, spectral_radius

    n = {"smoke": 20, "laptop": 200, "paper": 200}[scale]
    tables = []
    for method, p, points in (("ADMM", 3, n), ("ADMM", 8, n), ("EASGD", 3, n // 4), ("EASGD", 8, n // 4)):
        eta, rho = np.meshgrid(np.arange(1, points + 1) * 0.01 / points, np.arange(1, points + 1) * 10 / points)
        radius = spectral_radius(round_map(method, p, eta, eta * rho if method == "EASGD" else rho))
        tables.append(_tidy(map=f"{method}, p = {p}", eta=eta.round(8), rho=rho.round(8), radius=radius.round(10)))
    return _stack(tables)


def stability_by_workers(scale: Scale, seed: int) -> "pd.DataFrame":
    """Spectral radius at eta = 0.001 and rho = 2.5: of a round, and the largest of a single turn."""
    import pandas as pd

    from repro.theory.stability import round_map, spectral_radius

    rows = []
    for method, penalty in (("ADMM", RHO), ("EASGD", ETA * RHO)):
        for p in (1, 2, 3, 4, 6, 8, 12, 16):
            turns = [float(spectral_radius(round_map(method, p, ETA, penalty, [i]))) for i in range(p)]
            rows.append((method, p, float(spectral_radius(round_map(method, p, ETA, penalty))), max(turns)))
    return pd.DataFrame(rows, columns=["method", "workers", "radius", "turn_radius"])


def easgd_region(scale: Scale, seed: int) -> "pd.DataFrame":
    """Spectral radius of a turn of EASGD, and of rounds of p, over eta and alpha; and what the printed region says."""
    import numpy as np

    from repro.theory.stability import easgd_is_stable, round_map, spectral_radius

    n = {"smoke": 13, "laptop": 61, "paper": 61}[scale]
    eta, alpha = np.meshgrid(np.linspace(0, 2.4, n), np.linspace(0, 1.2, n))
    printed = easgd_is_stable(eta, alpha).astype(int)
    tables = []
    for p in (1, 2, 3, 4, 8, 16):
        radius = spectral_radius(round_map("EASGD", p, eta, alpha))
        name = "one turn" if p == 1 else f"round of p = {p}"
        tables.append(
            _tidy(map=name, workers=p, eta=eta.round(8), alpha=alpha.round(8), radius=radius.round(10), printed=printed)
        )
    return _stack(tables)


def trajectories(scale: Scale, seed: int) -> "pd.DataFrame":
    """The centre of both methods, which starts at 1000, at eta = 0.001 and rho = 2.5."""
    import numpy as np

    from repro.theory.stability import trajectory

    steps, every = {"smoke": (2_000, 100), "laptop": (200_000, 200), "paper": (200_000, 200)}[scale]
    tables = []
    for method, penalty in (("ADMM", RHO), ("EASGD", ETA * RHO)):
        for p in (3, 8):
            centre = trajectory(method, p, ETA, penalty, 1000.0, steps, every)
            turns = range(0, steps + 1, every)
            tables.append(_tidy(method=method, workers=p, turns=turns, centre=centre, distance=np.abs(centre)))
    return _stack(tables)


def mse_maps(scale: Scale, seed: int) -> "pd.DataFrame":
    """Mean squared error of the centre after t steps over eta and beta: h = 1, sigma = 10, all start at 1."""
    import numpy as np

    from repro.theory.elastic_moments import Elastic

    n = {"smoke": 6, "laptop": 24, "paper": 24}[scale]
    eta, beta = np.meshgrid((np.arange(n) + 0.5) * 2 / n, (np.arange(n) + 0.5) * 2 / n)
    tables = []
    for p in (1, 10, 100, 1000, 10_000):
        for t in (1.0, 2.0, 10.0, 100.0, np.inf):
            mse = Elastic(eta, beta, p).mse(t)
            name = "∞" if np.isinf(t) else f"{t:g}"
            tables.append(_tidy(map=f"p = {p}, t = {name}", workers=p, t=t, eta=eta, beta=beta, mse=mse))
    return _stack(tables)


def asymptotic_variance(scale: Scale, seed: int) -> "pd.DataFrame":
    """The centre's variance for t -> infinity against the number of workers, beta = 0.9, and p times it."""
    import numpy as np

    from repro.theory.elastic_moments import Elastic

    workers = [2**k for k in range(0, 15)]
    tables = []
    for eta in (0.05, 0.1, 0.5, 1.0):
        variance = np.array([float(Elastic(eta, 0.9, p).variance(np.inf)) for p in workers])
        tables.append(_tidy(rate=f"η = {eta:g}", workers=workers, variance=variance, scaled=variance * workers))
    return _stack(tables)


def monte_carlo(scale: Scale, seed: int) -> "pd.DataFrame":
    """The centre's variance by Monte Carlo, with its 90 % interval, beside closed form and recursion; beta = 0.9."""
    import numpy as np
    from scipy.stats import chi2

    from repro.draws import generator
    from repro.theory.elastic_moments import Elastic, moments, simulate

    replicas = {"smoke": 200, "laptop": 20_000, "paper": 20_000}[scale]
    at = [1, 2, 3, 5, 10, 20, 30, 50, 100]
    tables = []
    for p, eta in ((1, 0.1), (4, 0.1), (16, 0.5)):
        of = Elastic(eta, 0.9, p)
        rng = generator("easgd moments", seed, p)
        centres = np.concatenate([simulate(of, at, replicas // 10, rng)[0] for _ in range(10)], axis=1)
        means, variances, _ = moments(of, max(at))
        drawn, n = centres.var(axis=1, ddof=1), centres.shape[1]
        low, high = (n - 1) * drawn / chi2.ppf(0.95, n - 1), (n - 1) * drawn / chi2.ppf(0.05, n - 1)
        closed = of.variance(np.array(at))
        names = {"closed form": (closed, closed, closed), "Monte Carlo": (drawn, low, high)}
        for name, (value, below, above) in names.items():
            tables.append(
                _tidy(
                    map=f"p = {p}, η = {eta:g}", by=name, workers=p, t=at, variance=value, low=below, high=above,
                    exact=variances[at], mean=of.mean(np.array(at)) if name == "closed form" else centres.mean(axis=1),
                    exact_mean=means[at],
                )
            )  # fmt: skip
    return _stack(tables)


def double_averaging(scale: Scale, seed: int) -> "pd.DataFrame":
    """t Var z_t of the averaged centre against t, by Monte Carlo with skewed noise; its limit is sigma^2 / (p h^2).

    p = 4, h = 1, sigma = 10, beta = 0.9: the limit is 25, whatever eta. `exact` is the recursion's; skewness and excess
    kurtosis of z_t are 0 for a normal law.
    """
    import numpy as np
    from scipy.stats import chi2, kurtosis, skew

    from repro.draws import generator
    from repro.theory.elastic_moments import Elastic, moments, simulate

    replicas, last = {"smoke": (200, 100), "laptop": (4000, 3000), "paper": (4000, 3000)}[scale]
    at = [t for t in (10, 30, 100, 300, 1000, 3000) if t <= last]
    tables = []
    for k, eta in enumerate((0.1, 0.5, 1.0)):
        of = Elastic(eta, 0.9, 4)
        rng = generator("easgd double averaging", seed, k)
        averaged = simulate(of, at, replicas, rng, "exponential")[1]
        t, n = np.array(at), replicas
        drawn = t * averaged.var(axis=1, ddof=1)
        tables.append(
            _tidy(
                rate=f"η = {eta:g}", t=at, scaled_variance=drawn, low=(n - 1) * drawn / chi2.ppf(0.95, n - 1),
                high=(n - 1) * drawn / chi2.ppf(0.05, n - 1), exact=t * moments(of, last)[2][t],
                skewness=skew(averaged, axis=1), excess_kurtosis=kurtosis(averaged, axis=1),
            )
        )  # fmt: skip
    return _stack(tables)


def strongly_convex(scale: Scale, seed: int) -> "pd.DataFrame":
    """The 3 x 3 inequality on random quadratics: the largest of left / right over 30 steps, by the exact moments.

    A case draws the quadratic's eigenvalues in [mu, L], p, and eta, alpha and beta from where the theorem holds.
    """
    import pandas as pd

    from repro.draws import generator
    from repro.theory.second_moments import largest_ratio, random_case

    cases = {"smoke": 20, "laptop": 500, "paper": 500}[scale]
    rng = generator("easgd strongly convex", seed)
    rows = []
    for number in range(cases):
        case = random_case(rng)
        ratio_a, ratio_b, ratio_c = largest_ratio(case, steps=30)
        rows.append((number, case.p, case.eta, case.alpha, case.beta, case.mu, case.smooth, ratio_a, ratio_b, ratio_c))
    columns = ["case", "workers", "eta", "alpha", "beta", "mu", "smooth", "ratio_a", "ratio_b", "ratio_c"]
    return pd.DataFrame(rows, columns=columns)


def moving_rate(scale: Scale, seed: int) -> "pd.DataFrame":
    """What a step of synchronous EASGD with m workers leaves of a disagreement, against alpha."""
    import numpy as np

    from repro.theory.mixing import disagreement_left, elastic_mixing

    tables = []
    for m in (2, 4, 8, 16):
        best = 2 / (m + 2)
        alpha = np.unique(np.concatenate([np.linspace(0.2, 1.8, 33) * best, [best]]))
        left = [disagreement_left(elastic_mixing(m, a)) for a in alpha]
        tables.append(_tidy(line=f"m = {m}", workers=m, alpha=alpha, left=left))
    return _stack(tables)


def input_noise(scale: Scale, seed: int) -> "pd.DataFrame":
    """Largest stable learning rate where inputs are Gamma(k) of mean 1: SGD, 4 workers' mini-batches, and EASGD."""
    import numpy as np

    from repro.theory.second_moments import largest_stable_rate

    p, ks = 4, np.geomspace(0.25, 16, {"smoke": 3, "laptop": 13, "paper": 13}[scale])
    lines = {
        "SGD": [largest_stable_rate(0.0, 1, k) for k in ks],
        "SGD, mini-batch of 4": [largest_stable_rate(0.0, 1, p * k) for k in ks],
        "EASGD, p = 4": [largest_stable_rate(0.9, p, k) for k in ks],
    }
    return _stack([_tidy(line=name, k=ks, eta=rates) for name, rates in lines.items()])


def _tidy(**columns: object) -> "pd.DataFrame":
    """Return a table of columns of one size, arrays of any shape, and of numbers and texts, which are repeated."""
    import numpy as np
    import pandas as pd

    size = max(np.size(value) for value in columns.values())  # type: ignore[arg-type]
    return pd.DataFrame(
        {
            name: np.full(size, value) if np.ndim(value) == 0 else np.ravel(value)  # type: ignore[arg-type,call-overload]
            for name, value in columns.items()
        }
    )


def _stack(tables: "list[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    return pd.concat(tables, ignore_index=True)
