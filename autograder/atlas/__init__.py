"""The map of the roadmap: where a learner stands, in a terminal, on a page, in a notebook and as data.

words  the words of it, the same everywhere
text   for a terminal, and as plain text
page   as HTML: a file of its own, or what `progress()` shows
style  its style sheet
data   for programs
"""
