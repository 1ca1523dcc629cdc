"""`make pythons` runs where other Pythons are; that its tests need no heavy library is seen here."""

import subprocess
import sys

from tests.pythons import ABSENT, FAST, ROOT, SELECTED


def test_what_runs_on_other_pythons_is_collected_without_a_heavy_library() -> None:
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider", "-m", FAST, *SELECTED]
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        f"import pytest\nsys.exit(pytest.main({options!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
