"""A thread in short, for whoever goes on with its work: written from its records alone, in bounded size."""
