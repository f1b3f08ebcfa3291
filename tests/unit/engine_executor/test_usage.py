"""What is measured of tasks."""

from scow.engine_executor.usage import memory


def test_page_cache_that_can_go_is_no_use_of_memory() -> None:
    assert memory({"usage": 100, "stats": {"total_inactive_file": 60, "inactive_file": 5}}) == 40
    assert memory({"usage": 100, "stats": {"inactive_file": 30}}) == 70
    assert memory({"usage": 100, "stats": {"inactive_file": 300}}) == 100
    assert memory({"usage": 100}) == 100
    assert memory({}) == 0
