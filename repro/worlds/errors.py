"""What can go wrong between workers."""


class CommTimeout(Exception):
    """A worker waited for another longer than the world allows; the message says who, for whom, and for what."""
