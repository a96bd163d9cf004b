"""The documentation site: the pages of this repository and a generated reference (`make site`)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "storm-exp"
author = copyright = "the authors of storm-exp"
extensions = ["myst_parser", "sphinx.ext.autodoc", "site_pages"]
root_doc = "README"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "AGENTS.md",
    "conf/README.md",
    "benchmarks/RESULTS.md",
    "examples/storm-exp-trimmed-mean/README.md",
    "docs/**",
]
exclude_patterns = ["docs/site", ".*", "outputs", "build", "tests"]
html_extra_path = [str(HERE.parents[1] / "llms.txt")]

# Links of Markdown are checked with their anchors, which are named as on GitHub.
myst_heading_anchors = 4
default_role = "code"
highlight_language = "console"
smartquotes = False

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "storm-exp"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
