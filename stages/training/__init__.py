"""Training on Ray Train and DeepSpeed, shared by ``base`` (from scratch) and ``train``."""
