"""What travels on a link: decoded, shown to interceptors, and passed on."""
