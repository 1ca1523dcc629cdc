"""The base model, measured once on the same samples, lengths and windows as the variants."""
