"""The manager: control API, orchestrator loops, allocator, scheduler, dispatcher. All meet in the store only."""
