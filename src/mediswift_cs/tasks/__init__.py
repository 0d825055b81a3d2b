"""Question answering and classification: examples, prompt text, answers, scores."""
