"""Running containers: the OCI specification, the tasks, their figures."""
