"""Lines of a log → records.

In the order of reading: `record` says what a record is, `request` takes a request line apart, `fields` turns the text
of one field into a value (`client_address` that of the client, `quantities` the numbers; `escapes` undoes what the
server did to it, and `encoding` makes text of its bytes), `pattern` (with `shapes`, what a field may hold, and `urls`,
the host in a target) and `json_lines` (with `paths`) compile a format's definition into a parser; `headers` cuts a log
at the lines that name its columns, `rows` a line into the texts of these, and `columns` compiles what a format says of
them. `only` passes over lines that tell of no request, and `wrappers` takes off what is around the lines. A
`definition` holds what a format is, `catalogue` (with `tables`, what such files have in common) reads it from formats/,
`forms` and `w3c` change it by the user's word, and `detection` finds the one that fits a log.

For people who want to know why, `anatomy` tells what of a line is what and where it stops fitting (`parts` holds such
facts; `walk` finds them for patterns, `prefixes` for regular expressions, `keyed` for objects and columns), and
`ranking` tells how all formats compare on a log.

A user may also describe the lines: `choice` knows the ways. `logformat` tells whose format string one is, a module for
each server cuts it into pieces (`apache`, `nginx`, `haproxy`, `tomcat`, `goaccess`), `layout` makes a pattern of them,
with times in the forms of `timeform`. `serverconf` finds such strings in a server's configuration, `regex` compiles a
regular expression, and `formatfile` writes what was made as a format file.
"""
