"""The trainer: a spec in; curves, gradient flow, a model and a diagnosis out."""
