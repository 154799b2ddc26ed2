"""What people do with an assembled model. Works alike for every model; what differs is said in its spec."""
