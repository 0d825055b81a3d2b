"""Answers from a trained model, and scores with what is needed to judge them."""
