"""Thin bridges to libraries that a gateway may use; each is imported only by those who use it."""
