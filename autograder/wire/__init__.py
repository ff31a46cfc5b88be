"""What crosses between the grader and the learner's process: frames (`codec`) and conversations (`endpoint`).

Both sides import this package, so it needs nothing but the standard library, numpy and torch.
"""
