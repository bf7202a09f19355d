"""`python -m bench.weights`: see `run`."""

from bench.weights.run import main

main()
