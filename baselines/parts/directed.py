"""Directed graphs that change from iteration to iteration, as hops: node i sends to i + hop mod n."""


def exponential_hops(size: int, iteration: int, peers: int = 1) -> list[int]:
    """Return the hops of an iteration on the directed exponential graph.

    With L = ceil(log2 n) hops 1, 2, ..., 2^(L-1) in a circle, iteration k takes the m = `peers` after the first k m;
    all of them where m is at least L. Source: Assran et al. 2019, section 3, for m = 1: 2^(k mod L).
    """
    length = (size - 1).bit_length()
    taken = min(peers, length)
    return [2 ** ((iteration * taken + m) % length) for m in range(taken)]
