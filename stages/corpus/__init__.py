"""The raw documents: real text, generated documents, split into train and validation."""
