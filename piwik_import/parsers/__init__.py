"""Lines of a log → records.

In the order of reading: `record` says what a record is, `request` takes a request line apart, `fields` turns
the text of one field into a value, `pattern` and `json_lines` compile a format's definition into a parser;
`headers` cuts a log at the lines that name its columns, `rows` a line into the texts of these, and `columns` compiles
what a format says of them. `definition` reads definitions from formats/, `w3c` changes them by the user's word,
`detection` finds the one that fits a log.
"""
