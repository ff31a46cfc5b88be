"""One module per command; `autograder.cli` registers them."""
