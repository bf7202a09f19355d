"""What calls really cost: see `run`, which is `python -m bench.weights`."""

from bench.weights.run import run

__all__ = ["run"]
