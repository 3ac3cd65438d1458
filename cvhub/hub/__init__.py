"""The Hugging Face Hub: cards, push, pull, and the Space's settings."""
