"""Hide secrets in everything that leaves the program."""
