"""How lists of the cluster's objects are filtered: which filters each has, and what is the same for several. Pure; asked by `control.py`,
`payloads.py` and the routes of the API."""

from collections.abc import Mapping

from scow.filters import Filters

SERVICE_FILTERS = {"id", "name", "label", "mode", "runtime"}
TASK_FILTERS = {"id", "name", "label", "node", "service", "desired-state", "runtime", "_up-to-date"}
NODE_FILTERS = {"id", "name", "label", "node.label", "membership", "role"}
PAYLOAD_FILTERS = {"id", "name", "label", "names"}


def passes(filters: Filters, id: str, name: str, labels: Mapping[str, str]) -> bool:
    """Whether an object passes `id` and `name`, which are prefixes here, and `label`."""
    if "id" in filters and not any(id.startswith(prefix) for prefix in filters.values("id")):
        return False
    if "name" in filters and not any(name.startswith(prefix) for prefix in filters.values("name")):
        return False
    return filters.match_labels(dict(labels))


def labels_match(wanted: frozenset[str], labels: Mapping[str, str]) -> bool:
    """Whether labels have all that is wanted: `key`, or `key=value`."""
    for text in wanted:
        key, has, value = text.partition("=")
        if key not in labels or (has and labels[key] != value):
            return False
    return True
