"""The tokenizer: trained on the corpus, or the base model's own."""
