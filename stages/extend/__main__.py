"""Run the stage: ``python -m stages.extend``."""

from stages.common.entry import main
from stages.extend.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
