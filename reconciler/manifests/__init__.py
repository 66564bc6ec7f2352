"""Files in: YAML manifests become desired resources; live resources become manifests."""
