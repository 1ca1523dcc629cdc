"""Run the stage: ``python -m stages.analyze``."""

from stages.analyze.stage import STAGE
from stages.common.entry import main

if __name__ == "__main__":
    main(STAGE)
