"""ReproSGD: does it reproduce? A suite for the papers on distributed and decentralised SGD."""

__version__ = "0.1.0"
