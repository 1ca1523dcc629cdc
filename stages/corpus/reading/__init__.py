"""Documents out of the user's files: the text column alone, every odd row with its place."""
