"""scowd: options, start order, listeners, reload, shutdown. Wiring is the only place that sees every package."""
