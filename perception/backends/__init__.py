"""Ways to run the network's forward pass, all behind one interface and none without proof that it gives the same."""
