"""The learner's side: a warm process that forks one child per submission and runs the learner's cells there.

Nothing here may import a module of the package outside `wire` and `sandbox`: nothing else is visible inside
the walls, and no process on this side ever sees a test, a solution or a score.
"""
