"""Run the stage: ``python -m stages.base``."""

from stages.base.stage import STAGE
from stages.common.entry import main

if __name__ == "__main__":
    main(STAGE)
