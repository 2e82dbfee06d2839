# Measures Swift files; after swift-code.awk. Prints per file, actor and function, separated by tabs:
# kind, lines, file:line, name, 1 if exempt. Functions are func, init, deinit, subscript and computed var.
# A declaration waits in `kind_waiting` for the `{` of its body; `open_kind` is the stack of open braces.

FNR == 1 {
    finish_file()
    file = FILENAME
    file_exempt = braces = depth = exempt = 0
    kind_waiting = previous = ""
    reset_code()
}

{
    lines = FNR
    text = code($0)
    if ($0 ~ /^[ \t]*\/\/ size-budget: *[^ ]/) {
        exempt = 1
        # On top, at most below a licence line, it is about the file.
        if (FNR <= 2) file_exempt = 1
    }
    starts_attribute = (text ~ /^[ \t]*@/) || (in_attribute && depth > 0)
    read_tokens(text)
    in_attribute = starts_attribute
    # The comment holds for the next declaration only; attributes may stand between the two.
    if (text ~ /[^ \t]/ && !starts_attribute) exempt = 0
    # A stored property: its type ended with the line. A type may go on after one of these characters.
    if (kind_waiting == "var" && depth == depth_waiting && text !~ /[<,:&>][ \t]*$/) kind_waiting = ""
}

END { finish_file() }

function finish_file() {
    if (file != "") record("file", lines, 1, file, file_exempt)
    lines = 0
}

function record(kind, count, line, name, is_exempt) {
    printf "%s\t%d\t%s:%d\t%s\t%d\n", kind, count, file, line, name, is_exempt
}

function read_tokens(rest,   token) {
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*|[][(){}=:.]/)) {
        token = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        if (token ~ /^[A-Za-z_]/) read_word(token, rest)
        else read_mark(token)
        previous = token
    }
}

function read_word(word, rest) {
    if (!declares(word, rest)) return
    # A requirement of a protocol has no body; a closure among the default arguments declares nothing of interest.
    if (open_kind[braces] == "protocol" || (kind_waiting != "" && depth > depth_waiting)) return
    kind_waiting = word
    depth_waiting = depth
    line_waiting = FNR
    exempt_waiting = exempt
    has_type = 0
    name_waiting = match(rest, /^[ \t]*[A-Za-z_][A-Za-z0-9_]*/) ? substr(rest, 1, RLENGTH) : word
    gsub(/[ \t]/, "", name_waiting)
}

# Whether the word starts a declaration here; most are also usable as names or in calls such as self.init(…).
function declares(word, rest) {
    if (previous == ".") return 0
    if (word == "func" || word ~ /^(struct|enum|class|extension|protocol)$/) return 1
    if (word == "init") return rest ~ /^[?!]?[ \t]*[(<]/
    if (word == "subscript") return rest ~ /^[ \t]*[(<]/
    if (word == "deinit") return rest ~ /^[ \t]*([a-z]+[ \t]*)?\{/
    if (word == "var") return previous !~ /^(for|case)$/
    if (word == "actor") return rest ~ /^[ \t]+[A-Z_]/
    return 0
}

function read_mark(mark) {
    if (mark == "(" || mark == "[") depth++
    else if (mark == ")" || mark == "]") depth--
    else if (mark == "{") open_brace()
    else if (mark == "}") close_brace()
    else if (kind_waiting == "var" && depth == depth_waiting) {
        if (mark == ":") has_type = 1
        # An initial value, so what follows in braces is a closure or observers.
        if (mark == "=") kind_waiting = ""
    }
}

function open_brace(   is_body) {
    is_body = kind_waiting != "" && depth == depth_waiting
    open_kind[++braces] = (is_body && (kind_waiting != "var" || has_type)) ? kind_waiting : ""
    open_name[braces] = name_waiting
    open_line[braces] = line_waiting
    open_exempt[braces] = exempt_waiting
    open_depth[braces] = depth
    if (is_body) kind_waiting = ""
}

function close_brace() {
    if (braces == 0) return
    depth = open_depth[braces]
    if (open_kind[braces] ~ /^(func|init|deinit|subscript|var|actor)$/)
        record(open_kind[braces], FNR - open_line[braces] + 1, open_line[braces], open_name[braces], open_exempt[braces])
    braces--
}
