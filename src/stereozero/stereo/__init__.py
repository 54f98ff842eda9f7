"""From the source view and its disparity to the target view."""
