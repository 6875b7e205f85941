"""Lets every room's tests import the test server, `api_server`."""

LONGEST = (
    "test_run.py",
    "test_endpoint_study.py",
    "test_command.py",
    "test_odd_shapes_study.py",
    "test_devices.py",
    "test_on_ray.py",
    "test_pipeline_ray.py",
)
"""Files of few tests that take long: begun first, so that two processes end together."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)
