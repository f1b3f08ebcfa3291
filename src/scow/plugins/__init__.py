"""Plugins that speak Docker's plugin protocol (v1): programs of the administrator's that listen on a socket. Nothing is stored here; found
by files in /run/docker/plugins (sockets), /etc/docker/plugins and /usr/lib/docker/plugins (`.spec`, `.json`). Called by volumes."""
