"""MediSwift: sparse pre-trained biomedical language models for Cerebras CS-2, GPU and CPU."""

__version__ = "0.2.0"
