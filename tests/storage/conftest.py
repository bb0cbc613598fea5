"""An open store of each kind."""

from collections.abc import AsyncIterator

import pytest

from storage import Store, open_store


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store; the test runs once for each kind."""
    store = open_store(store_url)
    await store.open()
    yield store
    await store.close()
