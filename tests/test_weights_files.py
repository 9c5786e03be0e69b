"""Every format gives the same arrays, and nothing in a file harms."""
