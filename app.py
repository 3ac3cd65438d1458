"""Starts the page: `python app.py` here and on a Hugging Face Space."""

from cvhub.ui.app import main

if __name__ == "__main__":
    main()
