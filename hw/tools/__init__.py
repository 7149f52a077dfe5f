"""External tools: how they are found, checked and run."""
