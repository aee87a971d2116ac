"""The minimal GRU."""
