"""The firewall: one rendered nft table per daemon, `inet scow`."""
