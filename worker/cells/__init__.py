"""Recurrent cells, written forward and backward over time by hand."""
