"""Run the stage: ``python -m stages.base``."""

from stages.common.entry import main
from stages.base.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
