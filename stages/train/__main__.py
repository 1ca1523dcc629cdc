"""Run the stage: ``python -m stages.train``; ``--dry-run`` rehearses it."""

import sys

from stages.common.entry import main
from stages.train.stage import STAGE

if __name__ == "__main__":
    if "--dry-run" in sys.argv:
        from stages.train import dry_run  # it makes a model here, the stage does not

        sys.exit(dry_run.main(sys.argv[1:]))
    main(STAGE)
