"""Run the stage: ``python -m stages.report``."""

from stages.common.entry import main
from stages.report.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
