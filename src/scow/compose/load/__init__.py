"""From YAML files to a `Project`: `loader.load(LoadOptions) -> Project`. Errors are `errors.LoadError`."""
