"""Run the stage: ``python -m stages.corpus``."""

from stages.common.entry import main
from stages.corpus.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
