"""Bounding the gradient before the update: one file a rule, and the pack that applies them."""

from worker.remedies.clipping.pack_clipping import PackClipping, make_clipping

__all__ = ["PackClipping", "make_clipping"]
