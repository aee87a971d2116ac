"""What the gateway and the worker must agree on; neither imports the other."""
