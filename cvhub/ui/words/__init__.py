"""The Words tab: labels in any words, captions word by word, and the loss that teaches pictures and texts to meet."""
