"""The Words tab: labels in any words, search, captions, and the loss that teaches pictures and texts to meet."""
