# Prints what must not appear in Sources; after swift-code.awk. Exits 1 when something was found.
# A server logs instead of printing, throws instead of trapping, and exports nothing beyond its package.

function refuse(pattern, word, advice) {
    if (text !~ ("(^|[^A-Za-z0-9_])" pattern)) return
    printf "%s:%d: `%s`: %s\n", FILENAME, FNR, word, advice
    found = 1
}

FNR == 1 { reset_code() }

{
    text = code($0)
    refuse("public ", "public", "names shared between modules are `package`")
    refuse("try!", "try!", "handle the error or pass it on")
    refuse("as!", "as!", "use `as?` and handle nil")
    refuse("fatalError\\(", "fatalError", "throw a ServerError")
    refuse("print\\(", "print", "use the logger")
}

END { exit found }
