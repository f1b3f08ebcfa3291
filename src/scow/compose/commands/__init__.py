"""The verbs of `scow compose`, one file for each or for a few that are alike. `table.py` lists them, `main.py` runs them."""
