"""Run the stage: ``python -m stages.train``."""

from stages.common.entry import main
from stages.train.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
