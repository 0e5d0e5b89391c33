"""The operator's pages: Jinja2 templates, one module of script, no other host."""
