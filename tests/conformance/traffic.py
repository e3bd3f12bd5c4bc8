"""Bytes are those of the method's closed form."""

__tracebackhide__ = True  # the message says it


def check_bytes(counted: list[tuple[int, int]], steps: int, sent: float, received: float) -> None:
    """All workers together have sent and received what the closed form says.

    Args:
        counted: each worker's bytes, sent and received.
        sent: bytes that a worker sends in a step, in the mean.
        received: bytes that it receives.
    """
    forms = ("sent", sent), ("received", received)
    for (what, expected), sums in zip(forms, map(sum, zip(*counted, strict=True)), strict=True):
        assert sums == round(expected * steps * len(counted)), (
            f"{len(counted)} workers {what} {sums} bytes in {steps} steps, {sums / steps / len(counted):g} a worker "
            f"and step; the closed form says {expected:g}"
        )
