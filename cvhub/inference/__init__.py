"""Answers about pictures: opening them, running a network on them, and keeping networks warm."""
