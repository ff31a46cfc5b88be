"""The walls around a learner's process: what it may read, write, call, and how much of the machine it may
use.

`outer` wraps the zygote in bubblewrap, `inner` locks in each forked child before it runs a line of the
learner's, `warden` watches the child from outside, `detect` finds the strongest level this machine gives.
Linux only: elsewhere everything imports and the level is `none`. Scores do not depend on these walls (tests
and expected values never enter this side); they keep files, other submissions and the machine out of reach.
"""
