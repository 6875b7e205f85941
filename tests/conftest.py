"""Lets every room's tests import the test server, `api_server`."""
