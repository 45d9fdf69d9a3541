"""A small chat gateway, decorated with turnscope, and what it takes to watch it get stuck."""
