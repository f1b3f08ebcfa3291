"""Swarm's Executor on this engine: tasks as containers, with their secrets, configs and networks.

A task's container is called `service.slot.task` and carries the labels `com.docker.swarm.*`, by which it is found again after a restart.
"""
