"""The agent of a node: takes tasks from the dispatcher, runs them through an Executor, reports back. Knows no engine."""
