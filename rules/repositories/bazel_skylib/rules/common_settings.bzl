"""Build settings under the names of the Starlark library that Bazel's users know."""

load(
    "@rbz//core:settings.bzl",
    _BuildSettingInfo = "BuildSettingInfo",
    _bool_flag = "bool_flag",
    _bool_setting = "bool_setting",
    _int_flag = "int_flag",
    _int_setting = "int_setting",
    _string_flag = "string_flag",
    _string_list_flag = "string_list_flag",
    _string_setting = "string_setting",
)

BuildSettingInfo = _BuildSettingInfo
bool_flag = _bool_flag
bool_setting = _bool_setting
int_flag = _int_flag
int_setting = _int_setting
string_flag = _string_flag
string_list_flag = _string_list_flag
string_setting = _string_setting
