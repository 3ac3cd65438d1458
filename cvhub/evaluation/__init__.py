"""What a model is worth on pictures whose truth is known: data sets, metrics, and how they are shown."""
