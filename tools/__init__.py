"""What the repository needs and the running program does not."""
