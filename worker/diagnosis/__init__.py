"""Curves, flow and spec in; findings, a verdict and prescriptions out. Pure: no torch, no store."""
