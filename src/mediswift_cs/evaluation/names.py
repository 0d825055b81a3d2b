"""The names of an evaluation's files."""

PREDICTIONS_FILE = "predictions.jsonl"
SCORES_FILE = "scores.json"
PICTURE_FILE = "confusion_matrix.png"
