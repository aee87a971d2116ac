"""The Elman network."""
