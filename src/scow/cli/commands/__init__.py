"""One package for each group of commands; `cli/table.py` names what is in them."""
