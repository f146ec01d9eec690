"""One file each way to train the same small CNN on the same folder of JPEGs."""
