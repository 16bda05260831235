"""What the kernel and the service manager of this host tell, and what is asked of them."""
