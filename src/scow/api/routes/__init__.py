"""One module per noun; each has `register(router, …)` taking exactly the services its handlers use."""
