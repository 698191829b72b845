"""How rules of others get at the C toolchain."""

load("@rbz//cc:toolchain.bzl", _CcToolchainInfo = "CcToolchainInfo")

CC_TOOLCHAIN_ATTRS = {
    "_cc_toolchain": attr.label(default = Label("@cc//:toolchain")),
}

def find_cc_toolchain(ctx):
    """The C toolchain of a rule.

    Args:
      ctx: the rule's context; the rule has the attributes `CC_TOOLCHAIN_ATTRS`, or one of the same
        name of its own.

    Returns:
      A CcToolchainInfo.
    """
    if not hasattr(ctx.attr, "_cc_toolchain"):
        fail("the rule needs the attribute \"_cc_toolchain\": attr.label(default = \"@bazel_tools//tools/cpp:current_cc_toolchain\")")
    return ctx.attr._cc_toolchain[_CcToolchainInfo]

find_cpp_toolchain = find_cc_toolchain

def use_cc_toolchain(mandatory = False):
    """For the argument `toolchains` of `rule`: nothing, the attribute is what counts.

    Args:
      mandatory: accepted for compatibility.

    Returns:
      A list.
    """
    return []
