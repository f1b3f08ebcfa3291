"""The cluster's state in etcd: its client (`client`), the store on it (`store`), the process that each manager runs (`member`)."""
