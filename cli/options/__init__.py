"""What options there are, and how each is parsed."""
