# %% [markdown]
# # Welcome
#
# This course builds machine learning from nothing: from the first gradient to a model that reads pictures and text.
# You do not watch it being built. **You build it**, one function at a time, and each one is checked the moment you run it.
#
# The course is growing; these notebooks are written. Start with the first, or with what you came for: none of them uses
# your answers to another one.
#
# <!-- notebooks -->

# %% [markdown]
# ## Your map
#
# Run the next cell (click into it, then press Shift+Enter). It shows the whole way, what you have done of it, and what
# comes next. Run it again whenever you come back.

# %%
from autograder import progress

progress()

# %% [markdown]
# ## How it works, in five lines
#
# 1. **Write** your answer where the cell says `raise NotImplementedError()`.
# 2. **Check** it: press Check above the notebook, or run the answer and then `check("attention")` below it. A card says
#    which promises your code keeps, and what it did where it does not. This takes a moment, needs no network, and you may
#    do it as often as you like. To see all exercises of the notebook beside it, click the tick at the right edge of the
#    window (or menu View, Show Exercises): the list is closed until you open it.
# 3. **Stuck?** Open the folded hints below the check, one at a time. The first asks you a question, the last is
#    nearly the recipe. Or go on and come back: no exercise uses your answer to another one.
# 4. **Grade** the notebook when its checks pass: menu File, New, Terminal, then
#    `autograder grade 05_transformers/attention.ipynb`. It runs the hidden tests as well: the same contract on other inputs.
# 5. **See** how far you are: `progress()` here, or `autograder progress` in the terminal.

# %% [markdown]
# ## How to study
#
# **Learn, build, fail, revisit the mathematics, repeat.** In this order, and the third step is not an accident:
#
# - *Learn.* Read the story and the contract. Look at the picture before the formula, at the shapes before the code.
# - *Build.* Write the function yourself, however short it is. What you have typed once you can read for ever.
# - *Fail.* A check that does not pass is the most useful thing in this course: it names the idea that is still missing.
#   Guess what is wrong *before* you read on.
# - *Revisit the mathematics.* Most mistakes here are not of programming. Take a pencil, write the sum out for two
#   numbers, and compare it with what your code did.
# - *Repeat.* An hour a day beats a Sunday. Come back after a week and write one answer again from an empty cell.

# %% [markdown]
# ## What you will have proved in the end
#
# Five sentences carry the course. Today they are slogans. Each becomes something you have seen your own code do:
#
# | sentence | where you prove it |
# |:--|:--|
# | **Machine learning predicts.** | A model you wrote is right about data it has never seen. |
# | **Neural networks represent.** | Your network bends space until a straight line is enough. |
# | **Transformers attend.** | Your attention finds which word *it* refers to, in a sentence it never read. |
# | **Language models reason in probabilities.** | Your model says how sure it is, and you measure whether it should be. |
# | **Retrieval grounds truth.** | Your assistant answers from documents, names them, and says when it does not know. |
#
# The lessons behind some of these sentences are not written yet; the map shows which.
