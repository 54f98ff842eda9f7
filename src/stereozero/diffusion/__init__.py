"""What every diffusion backbone shares: noise, schedules, guidance and the protocol it implements."""
