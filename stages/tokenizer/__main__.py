"""Run the stage: ``python -m stages.tokenizer``."""

from stages.common.entry import main
from stages.tokenizer.stage import STAGE

if __name__ == "__main__":
    main(STAGE)
