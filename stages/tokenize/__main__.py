"""Run the stage: ``python -m stages.tokenize``."""

from stages.common.entry import main
from stages.tokenize.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
