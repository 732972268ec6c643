"""Lines of a log → records.

In the order of reading: `record` says what a record is, `request` takes a request line apart, `client_address` an
address and lists of them, `fields` turns the text of one field into a value, `pattern` and `json_lines` (with `paths`,
`only` and `urls`) compile a format's definition into a parser, `wrappers` takes off what is around the lines,
`definition` reads definitions from formats/ and `forms` puts into them what the user knows, `detection` finds the
definition that fits a log.
"""
