"""The linear recurrent unit."""
