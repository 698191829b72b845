"""Texts with `$(location …)` and make variables in them."""

_ONE_LETTER = ["@", "<", "^"]

def expand_variables(text, variables, what):
    """Replaces `$(NAME)`, `$@`, `$<` and `$$` in a text.

    Args:
      text: the text.
      variables: what each name stands for.
      what: what the text is, for messages.

    Returns:
      The text with everything replaced.
    """
    parts = text.split("$")
    result = [parts[0]]
    escaped = False
    for index in range(1, len(parts)):
        part = parts[index]
        if escaped:
            # The second half of `$$`.
            result.append(part)
            escaped = False
        elif part == "":
            if index == len(parts) - 1:
                fail("%s ends with a single $: write $$ for the character itself" % what)
            result.append("$")
            escaped = True
        elif part[0] == "(":
            end = part.find(")")
            if end < 0:
                fail("%s has a $( without its ): $%s" % (what, part))
            name = part[1:end]
            if name not in variables:
                fail("%s: $(%s) is not defined; write $$(%s) for the shell's own" % (what, name, name))
            result.append(variables[name])
            result.append(part[end + 1:])
        elif part[0] in _ONE_LETTER:
            if part[0] not in variables:
                fail("%s: $%s needs exactly one file" % (what, part[0]))
            result.append(variables[part[0]])
            result.append(part[1:])
        else:
            fail("%s: $%s is not defined; write $$ for the character itself" % (what, part[0]))
    return "".join(result)
