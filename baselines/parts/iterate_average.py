"""Averages of the iterates of SGD: z_{t+1} = (1 - a) z_t + a x_t, z_0 = x_0."""


def weight(average: str, t: int, rate: float) -> float:
    """Return a: 1/(t + 1) for the mean of `all` x_0 .. x_t (Polyak), the rate for a `moving` average."""
    return 1 / (t + 1) if average == "all" else rate
