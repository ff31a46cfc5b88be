"""How a `Report` is shown: terminal table, HTML pages, the notebook's card, nbgrader's cells and comments.

Every renderer reads the same record and cleans every text it shows (`clean`). None of them knows pytest,
torch or nbgrader. Import the one you need: `terminal` alone needs rich.
"""
