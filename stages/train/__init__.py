"""Continual pre-training of the base model, once per variant and seed."""
