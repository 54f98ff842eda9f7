"""StereoZero: zero-shot stereo video generation and its benchmark."""
