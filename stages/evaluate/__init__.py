"""Evaluation of one trained model: benchmark samples and validation loss at every length."""
