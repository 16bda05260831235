"""Files as the operating system has them: read bounded, written whole, published in one place."""
