"""What happens inside a trained model: its learned positions and where its answers look."""
