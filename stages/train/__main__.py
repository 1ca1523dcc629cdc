"""Run the stage: ``python -m stages.train``; ``--dry-run`` rehearses it."""

import sys

from stages.common.entry import main
from stages.train import dry_run
from stages.train.stage import STAGE

if __name__ == "__main__":
    if "--dry-run" in sys.argv:
        sys.exit(dry_run.main(sys.argv[1:]))
    main(STAGE)
