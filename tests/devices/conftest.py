"""The stages' small params, here as well."""

from tests.stages.conftest import training_params

__all__ = ["training_params"]
