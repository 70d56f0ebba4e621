"""What each web server of ours needs: limits on what a client may send, for how long, and how often."""
