"""transformers' own model tests (Apache-2.0), run on our classes beside the stock ones.

    python -m tests.families.model_tests [FAMILY ...] [--without compile]

The files are not in this repository: `files.py` takes them from the sdist of the pinned release.
"""
