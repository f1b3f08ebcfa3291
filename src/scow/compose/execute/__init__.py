"""Carrying out a plan: `executor.py` decides what may begin, the other files do it, each a noun of the plan. Called by `session.py` and
`commands/`. Decides nothing that the plan has not decided."""
