"""The registry server: `scow registry serve`, one process and a directory.

Stored below the root: `blobs/<algorithm>/<2 hex>/<hex>` (bytes by digest) and `uploads/<id>`, behind `storage.driver.Driver`; all else
(repositories, tags, manifests, who refers to what, users, tokens, rules) in `catalog.db`, one SQLite file that several processes may
use at once: the commands `scow registry gc|retention|user|token` work on it beside a running server.

`serve` is the process; `app` routes and answers, `handlers/` hold what each endpoint does; `uploads` takes blobs, `store` joins bytes and
catalog; `access` says who may do what; `mirror` caches other registries; `gc` and `retention` take away what nobody needs.
"""
