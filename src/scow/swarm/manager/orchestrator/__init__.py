"""Orchestrators: loops that make and end tasks so that each service has what its spec asks for."""
