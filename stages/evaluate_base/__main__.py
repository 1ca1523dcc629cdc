"""Run the stage: ``python -m stages.evaluate_base``."""

from stages.common.entry import main
from stages.evaluate_base.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
