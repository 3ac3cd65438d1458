"""The Distill tab: a student beside its teachers, taught while you watch, and what many runs came to."""
