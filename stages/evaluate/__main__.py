"""Run the stage: ``python -m stages.evaluate --variant V --seed S``."""

from stages.common.entry import main
from stages.evaluate.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
