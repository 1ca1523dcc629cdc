"""Scripts that hurt the product from a seed, and tests (marked ``stress``) that run them."""
