"""A cohort played through the whole pipeline, to see that everybody gets the score that is due.

desk       a released notebook as a learner works on it
acts       what learners do to it, and what each exercise must get for that
learners   the cohort of a section, made from the bank and the acts
play       a throw-away course, and the commands of instructor and learners in it
verdict    expected and actual scores side by side
"""
