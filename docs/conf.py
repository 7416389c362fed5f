"""Configuration of Sphinx for `make docs`: Markdown pages, offline, every warning an error."""

project = "humouse-lab"
copyright = "2026 the humouse-lab contributors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["generate", "_build", "images"]
html_theme = "furo"
html_title = "humouse-lab"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
myst_fence_as_directive: list[str] = []
nitpicky = True
smartquotes = False
