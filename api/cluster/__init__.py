"""Several instances over Redis: one writes, the others take its clients off it; see ARCHITECTURE.md."""
