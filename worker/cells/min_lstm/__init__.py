"""The minimal LSTM."""
