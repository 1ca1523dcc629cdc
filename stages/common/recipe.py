"""What suits a model of a given size: continual pre-training of a base that somebody trained."""

ANCHOR_LR, ANCHOR_PARAMETERS = 7.4487e-5, 1.485e9
SLOPE = 0.12
"""Through the paper's two points: 7.4487e-5 at 1.485 B and 6.1499e-5 at 7.299 B parameters."""
FAR = 10.0
"""By how much a learning rate may differ from the recipe's before it is said."""
ABSURD = 100.0
"""By how much it may be above it before it is refused: 30 times wrecks a base in one step."""


def learning_rate(parameters: float) -> float:
    """Peak learning rate, two digits."""
    return float(f"{ANCHOR_LR * (ANCHOR_PARAMETERS / parameters) ** SLOPE:.1e}")


def warmup(steps: int) -> int:
    """Steps until the peak: Adam's first steps have no history and are as long as the lr.

    A tenth of a short run, a hundred steps of a long one.
    """
    return max(1, min(100, round(steps / 10))) if steps > 1 else 0


def start_layer(layers: int) -> int:
    """First layer with learned positions: a third up (PAPER.md section 1: 5 of 16, 10 of 32)."""
    return layers // 3
