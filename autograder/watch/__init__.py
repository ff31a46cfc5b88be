"""`autograder watch`: keeps the official verdict up to date while somebody works on a notebook.

saves       which notebooks have been saved
keyboard    single keys without Enter
notebooks   what has changed, and the results
opening     the notebook in a running JupyterLab
session     what happens on which event, and what is on the screen
"""
