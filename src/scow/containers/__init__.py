"""The containers' life: stored configuration and state, and every verb on them.

Rows are in `meta.db` (table `containers`), files in `<data>/containers/<id>/`, live bundles in `<run>/bundles/<id>/`. This is the only
package that sees images, runtime, network, volumes and log drivers together; the API calls it.
"""
