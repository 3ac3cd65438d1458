"""A file a command: its options, what it calls, what it prints. What it does stands in the module that it calls."""
