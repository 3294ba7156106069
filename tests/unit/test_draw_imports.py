"""scripts/draw_imports.py draws each import once, from the top down, and writes only between its markers."""

from draw_imports import find_levels, reduce_imports, replace_section

ROOMS = {"commands": {"gate", "errors"}, "gate": {"journal", "errors"}, "journal": {"errors"}, "errors": set()}


def test_a_room_is_above_all_that_it_imports() -> None:
    assert find_levels(ROOMS) == {"errors": 0, "journal": 1, "gate": 2, "commands": 3}


def test_an_import_that_a_longer_way_implies_is_left_out() -> None:
    assert reduce_imports(ROOMS) == {"commands": {"gate"}, "gate": {"journal"}, "journal": {"errors"}, "errors": set()}


def test_the_rest_of_the_page_is_kept() -> None:
    page = "# Page\n<!-- rooms: begin -->\nold\n<!-- rooms: end -->\nend\n"
    assert replace_section(page, "rooms", "new") == page.replace("old", "new")
