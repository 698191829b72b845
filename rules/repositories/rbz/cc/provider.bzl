"""What C and C++ rules tell each other."""

CcInfo, _new_cc_info = provider(
    doc = "What a C or C++ target offers to those that depend on it.",
    fields = {
        "compilation_context": "What is needed to compile against it: see `create_compilation_context`.",
        "linking_context": "What is needed to link it: see `create_linking_context`.",
    },
    init = lambda compilation_context = None, linking_context = None: {
        "compilation_context": compilation_context or create_compilation_context(),
        "linking_context": linking_context or create_linking_context(),
    },
)

def _set(value):
    """A depset of what may be a depset, a list or nothing."""
    if value == None:
        return depset()
    return value if type(value) == "depset" else depset(value)

def create_compilation_context(
        headers = None,
        system_includes = None,
        includes = None,
        quote_includes = None,
        framework_includes = None,
        external_includes = None,
        defines = None,
        local_defines = None,
        direct_public_headers = [],
        direct_private_headers = [],
        direct_textual_headers = []):
    """What others need to compile against a target.

    Args:
      headers: files that sources may include.
      system_includes: directories of `#include <…>` whose headers cause no warnings (`-isystem`).
      includes: directories of `#include <…>` and `#include "…"` (`-I`).
      quote_includes: directories of `#include "…"` (`-iquote`).
      framework_includes: accepted for compatibility; frameworks are another system's.
      external_includes: directories of headers of other repositories (`-isystem`).
      defines: macros, as `NAME` or `NAME=VALUE`, for the target and all that depend on it.
      local_defines: macros for the target alone.
      direct_public_headers: the target's own headers.
      direct_private_headers: those of its headers that only its own sources include.
      direct_textual_headers: those of its headers that cannot be compiled alone.

    Returns:
      A struct with a field for each.
    """
    return struct(
        headers = _set(headers),
        system_includes = _set(system_includes),
        includes = _set(includes),
        quote_includes = _set(quote_includes),
        framework_includes = _set(framework_includes),
        external_includes = _set(external_includes),
        defines = _set(defines),
        local_defines = _set(local_defines),
        direct_headers = direct_public_headers + direct_private_headers,
        direct_public_headers = direct_public_headers,
        direct_private_headers = direct_private_headers,
        direct_textual_headers = direct_textual_headers,
    )

def create_linking_context(*, linker_inputs = None, user_link_flags = [], libraries_to_link = [], owner = None, additional_inputs = []):
    """What others need to link a target.

    Args:
      linker_inputs: depset of what `create_linker_input` makes, dependents before dependencies.
      user_link_flags: arguments for the linker, in place of a `linker_inputs`.
      libraries_to_link: libraries, in place of a `linker_inputs`.
      owner: the label of the target that they are of.
      additional_inputs: files that `user_link_flags` name.

    Returns:
      A struct with the field `linker_inputs`.
    """
    if linker_inputs == None:
        direct = []
        if user_link_flags or libraries_to_link or additional_inputs:
            direct.append(create_linker_input(
                owner = owner,
                libraries = depset(libraries_to_link) if type(libraries_to_link) == "list" else libraries_to_link,
                user_link_flags = user_link_flags,
                additional_inputs = depset(additional_inputs),
            ))
        linker_inputs = depset(direct, order = "topological")
    return struct(linker_inputs = linker_inputs)

def create_linker_input(*, owner = None, libraries = None, user_link_flags = [], additional_inputs = None):
    """What one target adds to a link.

    Args:
      owner: its label.
      libraries: depset of what `create_library_to_link` makes.
      user_link_flags: arguments for the linker; lists in it are flattened.
      additional_inputs: depset of files that they name.

    Returns:
      A struct with a field for each; `libraries`, `user_link_flags` and `additional_inputs` are tuples.
    """
    flags = []
    for flag in user_link_flags.to_list() if type(user_link_flags) == "depset" else user_link_flags:
        flags += flag if type(flag) == "list" else [flag]
    return struct(
        owner = owner,
        # Depsets hold nothing that can be changed.
        libraries = tuple(_set(libraries).to_list()),
        user_link_flags = tuple(flags),
        additional_inputs = tuple(_set(additional_inputs).to_list()),
        linkstamps = (),
    )

def create_library_to_link(
        *,
        actions = None,
        feature_configuration = None,
        cc_toolchain = None,
        static_library = None,
        pic_static_library = None,
        dynamic_library = None,
        interface_library = None,
        objects = [],
        pic_objects = [],
        alwayslink = False,
        dynamic_library_symlink_path = "",
        interface_library_symlink_path = ""):
    """One library in its forms.

    Args:
      actions: not used.
      feature_configuration: not used.
      cc_toolchain: not used.
      static_library: an archive.
      pic_static_library: an archive of position-independent code.
      dynamic_library: a shared object; it must be called what its soname says.
      interface_library: what to link against in place of the shared object.
      objects: what is in the archive.
      pic_objects: what is in the archive of position-independent code.
      alwayslink: whether all of the archive is linked, used or not.
      dynamic_library_symlink_path: not used.
      interface_library_symlink_path: not used.

    Returns:
      A struct with a field for each.
    """
    if not (static_library or pic_static_library or dynamic_library or interface_library):
        fail("a library needs a static_library, pic_static_library, dynamic_library or interface_library")
    return struct(
        static_library = static_library,
        pic_static_library = pic_static_library,
        dynamic_library = dynamic_library,
        resolved_symlink_dynamic_library = None,
        interface_library = interface_library,
        resolved_symlink_interface_library = None,
        objects = tuple(objects),
        pic_objects = tuple(pic_objects),
        alwayslink = alwayslink,
    )

_HEADER_SETS = [
    "headers",
    "system_includes",
    "includes",
    "quote_includes",
    "framework_includes",
    "external_includes",
    "defines",
]

def merge_compilation_contexts(compilation_contexts, own = None):
    """What is needed to compile against several targets.

    Args:
      compilation_contexts: their contexts.
      own: a context that comes before them, whose direct headers and local defines are kept.

    Returns:
      A compilation context.
    """
    own = own or create_compilation_context()
    merged = {
        name: depset(
            transitive = [getattr(context, name) for context in [own] + compilation_contexts],
        )
        for name in _HEADER_SETS
    }
    return create_compilation_context(
        local_defines = own.local_defines,
        direct_public_headers = own.direct_public_headers,
        direct_private_headers = own.direct_private_headers,
        direct_textual_headers = own.direct_textual_headers,
        **merged
    )

def merge_linking_contexts(linking_contexts, own = []):
    """What is needed to link several targets.

    Args:
      linking_contexts: their contexts.
      own: linker inputs that come before them.

    Returns:
      A linking context.
    """
    return struct(linker_inputs = depset(
        own,
        transitive = [context.linker_inputs for context in linking_contexts],
        order = "topological",
    ))

def merge_cc_infos(*, direct_cc_infos = [], cc_infos = []):
    """What is needed of several targets.

    Args:
      direct_cc_infos: CcInfos that come first, and whose direct headers are those of the result.
      cc_infos: CcInfos.

    Returns:
      A CcInfo.
    """
    direct = [info.compilation_context for info in direct_cc_infos]
    merged = merge_compilation_contexts(direct + [info.compilation_context for info in cc_infos])
    sets = {name: getattr(merged, name) for name in _HEADER_SETS}
    return CcInfo(
        compilation_context = create_compilation_context(
            direct_public_headers = [file for context in direct for file in context.direct_public_headers],
            direct_private_headers = [file for context in direct for file in context.direct_private_headers],
            direct_textual_headers = [file for context in direct for file in context.direct_textual_headers],
            **sets
        ),
        linking_context = merge_linking_contexts(
            [info.linking_context for info in direct_cc_infos + cc_infos],
        ),
    )
