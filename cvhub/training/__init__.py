"""Training by recipe: small readable files, run by a thin layer on transformers' Trainer and timm's parts."""
