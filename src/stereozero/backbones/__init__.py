"""Video diffusion models behind the protocol of :mod:`stereozero.diffusion.backbone`."""
