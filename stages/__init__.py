"""The work: one package per stage of ``dvc.yaml``, each run alone by ``python -m stages.<name>``.

A stage package has the same files everywhere: ``params.py`` (its typed section of ``params.yaml``),
``version.py`` (the integer that DVC tracks as the identity of its code), ``stage.py`` (what it does)
and ``__main__.py``. ``stages.common`` holds what they share.
"""
