"""What nodes say to each other over the network: TLS contexts from the cluster's certificates (`tls`), calls and streams (`rpc`)."""
