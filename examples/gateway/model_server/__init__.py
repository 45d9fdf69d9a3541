"""A model behind the Responses API that misbehaves on request, over real sockets."""
