"""What is done about the unstable gradient: one file a family of remedies."""
