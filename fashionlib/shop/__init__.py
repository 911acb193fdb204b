"""A trained model at work: tagging, search, cleaning."""
