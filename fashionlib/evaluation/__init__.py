"""What a model says, and how right it is."""
