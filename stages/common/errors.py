"""How a stage may end other than well, and the exit codes that say so.

DVC turns every exit code of a stage into 255, so the code also goes to ``$REPO_STATUS_FILE``
(``stages.common.status``).
"""

DONE, FAILED, USER_MISTAKE, TRY_AGAIN = 0, 1, 2, 75


class UserError(Exception):
    """What the user did wrong, in one line: the field, the value and the fix. Exit code 2."""


class TryAgain(Exception):
    """Nothing is wrong that a second attempt could not pass. Exit code 75 (EX_TEMPFAIL)."""

    code = TRY_AGAIN
