# A library: code(line) is a line of Swift without comments and without what stands inside of string literals and
# regular expressions. State is kept from line to line; call reset_code() before each file.
# Literals are a stack, because "\( … )" holds code again, which may hold strings again.

function reset_code() {
    top = 0
    kind[0] = "code"
    parens[0] = 0
}

function code(line) {
    out = ""
    while (line != "") {
        if (kind[top] == "comment") line = skip_comment(line)
        else if (kind[top] == "literal") line = skip_literal(line)
        else line = take_code(line)
    }
    # An unfinished one-line string cannot go on; without this, one misread quote would hide the rest of the file.
    if (kind[top] == "literal" && !spans_lines[top]) top--
    return out
}

function push(what) {
    kind[++top] = what
    parens[top] = 0
}

function push_literal(closing, escape, interpolates, multi_line) {
    push("literal")
    close_mark[top] = closing
    escape_mark[top] = escape
    has_code[top] = interpolates
    spans_lines[top] = multi_line
    out = out "\"\""
}

function take_code(line) {
    if (!match(line, /["#`\/()]/)) {
        out = out line
        return ""
    }
    out = out substr(line, 1, RSTART - 1)
    line = substr(line, RSTART)
    if (line ~ /^\/\//) return ""
    if (line ~ /^\/\*/) {
        push("comment")
        nested = 1
        return substr(line, 3)
    }
    if (match(line, /^#*"/)) return open_string(line, substr(line, 1, RLENGTH - 1))
    if (match(line, /^#+\//)) return open_regex(line, substr(line, 1, RLENGTH - 1))
    if (match(line, /^`[^`]*`/)) return take_raw_identifier(line, substr(line, 2, RLENGTH - 2))
    if (is_bare_regex(line)) {
        out = out "\"\""
        return substr(line, RLENGTH + 1)
    }
    return take_character(line)
}

# A readable ordinary identifier in its place.
function take_raw_identifier(line, name,   rest) {
    rest = substr(line, length(name) + 3)
    gsub(/[^A-Za-z0-9_]/, "_", name)
    out = out "_" name
    return rest
}

function take_character(line,   character) {
    character = substr(line, 1, 1)
    out = out character
    if (character == "(") parens[top]++
    if (character == ")" && --parens[top] < 0) {
        if (top > 0) top--
        else parens[0] = 0
    }
    return substr(line, 2)
}

function open_string(line, hashes,   quotes) {
    line = substr(line, length(hashes) + 1)
    # Only at the end of a line do three quotes open a multi-line string: #"""# is a string of one quote.
    quotes = (line ~ /^"""[ \t]*$/) ? "\"\"\"" : "\""
    push_literal(quotes hashes, "\\" hashes, 1, length(quotes) == 3)
    return substr(line, length(quotes) + 1)
}

function open_regex(line, hashes) {
    line = substr(line, length(hashes) + 2)
    push_literal("/" hashes, "\\", 0, line ~ /^[ \t]*$/)
    return line
}

# A slash opens a regular expression where no operand precedes it. Sets RLENGTH like match().
function is_bare_regex(line) {
    if (out !~ /(^|[=(,:\[{!&|?;]|return|in)[ \t]*$/ || line ~ /^\/[ \t)]/) return 0
    return match(line, /^\/([^\/\\]|\\.)+\//)
}

function skip_comment(line) {
    if (!match(line, /\/\*|\*\//)) return ""
    nested += (substr(line, RSTART, 1) == "/") ? 1 : -1
    if (nested == 0) top--
    return substr(line, RSTART + 2)
}

function skip_literal(line,   closing, escape) {
    closing = index(line, close_mark[top])
    escape = index(line, escape_mark[top])
    if (escape && (!closing || escape < closing)) {
        line = substr(line, escape + length(escape_mark[top]))
        if (has_code[top] && line ~ /^\(/) {
            out = out "("
            push("code")
        }
        return substr(line, 2)
    }
    if (!closing) return ""
    line = substr(line, closing + length(close_mark[top]))
    top--
    return line
}
