"""MEt3R (arXiv 2501.06336): how well two views agree on one scene in three dimensions."""
