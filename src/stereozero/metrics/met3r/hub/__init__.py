"""A local torch.hub repository: this folder can be named wherever `torch.hub.load(folder, ..., source="local")` can."""
