"""Settings that a command line can set: flags, and what is like them but fixed."""

BuildSettingInfo = provider(
    doc = "The value of a build setting.",
    fields = {"value": "Its value."},
)

def _setting_impl(ctx):
    return [BuildSettingInfo(value = ctx.build_setting_value)]

def _string_impl(ctx):
    allowed = ctx.attr.values
    value = ctx.build_setting_value
    if allowed and value not in allowed:
        fail("%s must be one of %s, not %s" % (ctx.label, ", ".join(allowed), value))
    return [BuildSettingInfo(value = value)]

_STRING_ATTRS = {
    "values": attr.string_list(doc = "What it may be; empty: anything."),
}

bool_flag = rule(
    implementation = _setting_impl,
    build_setting = config.bool(flag = True),
    doc = "A boolean that the command line can set.",
)

bool_setting = rule(
    implementation = _setting_impl,
    build_setting = config.bool(),
    doc = "A boolean that only transitions set.",
)

int_flag = rule(
    implementation = _setting_impl,
    build_setting = config.int(flag = True),
    doc = "A number that the command line can set.",
)

int_setting = rule(
    implementation = _setting_impl,
    build_setting = config.int(),
    doc = "A number that only transitions set.",
)

string_flag = rule(
    implementation = _string_impl,
    build_setting = config.string(flag = True),
    attrs = _STRING_ATTRS,
    doc = "A string that the command line can set.",
)

string_setting = rule(
    implementation = _string_impl,
    build_setting = config.string(),
    attrs = _STRING_ATTRS,
    doc = "A string that only transitions set.",
)

string_list_flag = rule(
    implementation = _setting_impl,
    build_setting = config.string_list(flag = True),
    doc = "Strings that the command line can set.",
)
