"""What runs the steps of a training: one package a host."""
