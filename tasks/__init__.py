"""What people do with a model, the same for every model that is assembled."""
