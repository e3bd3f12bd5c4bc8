"""Bytes are those of the method's closed form."""

__tracebackhide__ = True  # the message says it


def check_bytes(counted: list[tuple[int, int]], steps: int, expected: float) -> None:
    """All workers together have sent and received what the closed form says.

    Args:
        counted: each worker's bytes, sent and received.
        expected: bytes that a worker sends in a step, in the mean.
    """
    total = round(expected * steps * len(counted))
    for what, sums in zip(("sent", "received"), map(sum, zip(*counted, strict=True)), strict=True):
        assert sums == total, (
            f"{len(counted)} workers {what} {sums} bytes in {steps} steps, {sums / steps / len(counted):g} a worker "
            f"and step; the closed form says {expected:g}"
        )
