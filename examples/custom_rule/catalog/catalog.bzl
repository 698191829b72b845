"""A rule of this workspace: texts of a program in several languages, as Lisp source."""

CatalogInfo = provider(
    doc = "The message files of a catalog.",
    fields = {
        "messages": "depset of files: those of this catalog and of all that it is built on",
    },
)

def _language(file):
    """The part of a command line that says in which language `file` is."""
    return "%s=%s" % (file.basename[:-len(".messages")], file.path)

def _catalog_impl(ctx):
    # A depset holds the files of the dependencies without copying them: postorder, so that what
    # this catalog says comes last and wins.
    messages = depset(
        ctx.files.srcs,
        order = "postorder",
        transitive = [dep[CatalogInfo].messages for dep in ctx.attr.deps],
    )

    # The outputs of an action are declared. One called NAME.lisp can stand in `srcs` elsewhere.
    output = ctx.actions.declare_file(ctx.label.name + ".lisp")

    arguments = ctx.actions.args()
    arguments.add(output)
    arguments.add(ctx.attr.package)
    arguments.add_all(messages, map_each = _language)

    ctx.actions.run(
        executable = ctx.executable._compiler,
        arguments = [arguments],
        inputs = messages,
        outputs = [output],
        mnemonic = "Catalog",
        progress_message = "Collecting messages for %{label}",
    )

    return [
        DefaultInfo(files = depset([output])),
        CatalogInfo(messages = messages),
    ]

message_catalog = rule(
    implementation = _catalog_impl,
    doc = "Lisp source with a function `message` that knows the texts of all `srcs`.",
    attrs = {
        "srcs": attr.label_list(
            doc = "Files called LANGUAGE.messages: lines of a key, a tab and a text.",
            allow_files = [".messages"],
            mandatory = True,
        ),
        "deps": attr.label_list(
            doc = "Catalogs whose texts are there too, unless `srcs` says otherwise.",
            providers = [CatalogInfo],
        ),
        "package": attr.string(
            doc = "The Lisp package that the source defines.",
            mandatory = True,
        ),
        # Private: what the rule itself needs. It is built for the machine that builds.
        "_compiler": attr.label(
            default = "//catalog/compiler",
            executable = True,
            cfg = "exec",
        ),
    },
)
