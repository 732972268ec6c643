"""Lines of a log → records.

In the order of reading: `record` says what a record is, `request` takes a request line apart, `fields` turns
the text of one field into a value, `pattern` and `json_lines` compile a format's definition into a parser,
`definition` reads definitions from formats/, `detection` finds the definition that fits a log.
"""
