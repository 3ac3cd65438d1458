"""What a model costs, what each of its layers sees, and where in a picture it looked."""
