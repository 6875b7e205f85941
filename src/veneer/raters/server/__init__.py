"""The pages: for raters, for the owner, for workers of a crowd."""
