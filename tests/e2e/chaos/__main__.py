"""`python -m tests.e2e.chaos`, which is `make chaos`: see `run`."""

import sys

from tests.e2e.chaos.run import main

sys.exit(main())
