"""The registry client: the OCI distribution protocol, Docker's schema 2 included. Nothing is stored here.

`resolver` says which servers a repository name leads to (mirrors, certificates, plain HTTP), `transport` sends a request to one of them and
follows what `auth` knows about logging in, `fetcher` and `pusher` are the two directions, `client` is the door for images and api.
"""
