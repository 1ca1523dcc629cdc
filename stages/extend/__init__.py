"""Context extension of a trained model by YaRN."""
