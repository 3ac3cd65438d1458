"""The page: one module a tab, and the frame that all tabs share. Gradio is imported here and nowhere else."""
