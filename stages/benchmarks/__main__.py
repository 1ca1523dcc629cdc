"""Run the stage: ``python -m stages.benchmarks``."""

from stages.benchmarks.stage import STAGE
from stages.common.entry import main

if __name__ == "__main__":
    main(STAGE)
