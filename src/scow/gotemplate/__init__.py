"""Go's text/template over JSON-like values: `--format`, log tags, placeholders. Pure.

Supported: fields, variables, pipelines, literals, comments, trim markers, if/else if/else, range (with else, variables, break,
continue), with, define, template, block, and Go's and docker's functions. Text comes from clients, so size, depth and steps are
bounded. Called by `cli/format`, `logdrivers` and swarm. `lexer` reads, `parser` makes nodes, `execute` runs them; `values` prints as
Go does, `functions` holds what a template may call.
"""

from scow.gotemplate.execute import Template
from scow.gotemplate.lexer import MAX_TEXT, TemplateError
from scow.gotemplate.values import NO_VALUE, Missing, go_float, go_print, go_quote, printf, truth

__all__ = ["MAX_TEXT", "NO_VALUE", "Missing", "Template", "TemplateError", "go_float", "go_print", "go_quote", "printf", "truth"]
