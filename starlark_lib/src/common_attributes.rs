//! The attributes that every rule has, and those that every test and program has besides.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::attr::{AllowFiles, AttrDefault, AttrKind, AttrSchema, AttrValue, Cfg, LabelAttr};
use crate::rule::{BuildSetting, BuildSettingKind};

/// An optional attribute without a default.
pub fn optional(kind: AttrKind, configurable: bool, doc: &str) -> AttrSchema {
    AttrSchema {
        default: AttrDefault::Value(kind.empty()),
        kind: kind.into(),
        mandatory: false,
        configurable,
        allow_empty: true,
        doc: doc.into(),
    }
}

/// A dependency on rule targets that need no particular provider.
pub fn plain_label() -> LabelAttr {
    LabelAttr {
        allow_files: AllowFiles::No,
        single_file: false,
        providers: vec![],
        cfg: Cfg::Target,
        executable: false,
    }
}

fn one_of(values: &[&str]) -> AttrKind {
    AttrKind::String { values: values.iter().map(|value| Arc::from(*value)).collect() }
}

/// The sizes of tests.
pub const SIZES: [&str; 4] = ["small", "medium", "large", "enormous"];
/// The timeouts of tests, each that of the size at the same index.
pub const TIMEOUTS: [&str; 4] = ["short", "moderate", "long", "eternal"];

/// The attributes of every rule; with those of tests and of programs.
pub fn of_rules(test: bool, executable: bool) -> IndexMap<Arc<str>, AttrSchema> {
    let mut attrs = IndexMap::new();
    let mut add = |name: &str, schema: AttrSchema| {
        attrs.insert(name.into(), schema);
    };
    add(
        "name",
        AttrSchema {
            mandatory: true,
            ..optional(AttrKind::String { values: vec![] }, false, "The name of the target.")
        },
    );
    // Who may use a target is in `Target::visibility`; here is only what was written.
    add("visibility", optional(AttrKind::StringList, false, "Who may depend on the target."));
    add("tags", optional(AttrKind::StringList, false, "Words by which tools choose targets."));
    add(
        "testonly",
        optional(AttrKind::Bool, false, "Whether only tests may depend on the target."),
    );
    let text = || AttrKind::String { values: vec![] };
    add("deprecation", optional(text(), false, "A warning to those who depend on the target."));
    add(
        "features",
        optional(AttrKind::StringList, true, "Features to enable, or with `-` to disable."),
    );
    add("licenses", optional(AttrKind::StringList, false, "Kinds of licenses; not checked."));
    add("distribs", optional(AttrKind::StringList, false, "Ways of distribution; not checked."));
    add("compatible_with", optional(AttrKind::StringList, false, "Environments; not checked."));
    add("restricted_to", optional(AttrKind::StringList, false, "Environments; not checked."));
    add("applicable_licenses", optional(AttrKind::StringList, false, "Licenses; not checked."));
    add("package_metadata", optional(AttrKind::StringList, false, "Metadata; not checked."));
    add(
        "exec_compatible_with",
        optional(AttrKind::StringList, false, "Where its actions can run; not checked."),
    );
    add(
        "exec_group_compatible_with",
        optional(AttrKind::StringListDict, false, "Where its actions can run; not checked."),
    );
    add(
        "exec_properties",
        optional(AttrKind::StringDict, true, "Execution requirements of its actions."),
    );
    add("aspect_hints", optional(AttrKind::StringList, false, "Hints for aspects; not used."));
    add(
        "toolchains",
        optional(
            AttrKind::LabelList(plain_label()),
            false,
            "Targets whose variables `$(VAR)` may stand for.",
        ),
    );
    add(
        "target_compatible_with",
        optional(
            AttrKind::LabelList(plain_label()),
            true,
            "Constraints that the platform must meet.",
        ),
    );
    if executable {
        add(
            "args",
            optional(AttrKind::StringList, true, "Arguments when it is run by `run` or `test`."),
        );
        add(
            "env",
            optional(AttrKind::StringDict, true, "Environment when it is run by `run` or `test`."),
        );
        add("output_licenses", optional(AttrKind::StringList, false, "Not checked."));
    }
    if test {
        let size = AttrSchema {
            default: AttrDefault::Value(AttrValue::String("medium".into())),
            ..optional(one_of(&SIZES), false, "How heavy the test is.")
        };
        add("size", size);
        add(
            "timeout",
            optional(
                one_of(&TIMEOUTS),
                false,
                "How long it may take; by default as its size says.",
            ),
        );
        add("flaky", optional(AttrKind::Bool, false, "Whether it is tried up to three times."));
        let shards = AttrSchema {
            default: AttrDefault::Value(AttrValue::Int(-1)),
            ..optional(AttrKind::Int { values: vec![] }, true, "Into how many parts it is divided.")
        };
        add("shard_count", shards);
        add("local", optional(AttrKind::Bool, false, "Whether it runs outside of the sandbox."));
        add(
            "env_inherit",
            optional(
                AttrKind::StringList,
                true,
                "Variables that it gets from the user's environment.",
            ),
        );
    }
    attrs
}

/// True of an attribute that a rule cannot declare in another way.
pub fn is_fixed(name: &str) -> bool {
    matches!(name, "name" | "visibility" | "tags" | "testonly")
}

/// `build_setting_default` of a rule that is a build setting.
pub fn setting_default(setting: BuildSetting) -> AttrSchema {
    let kind = match setting.kind {
        BuildSettingKind::Bool => AttrKind::Bool,
        BuildSettingKind::Int => AttrKind::Int { values: vec![] },
        BuildSettingKind::String => AttrKind::String { values: vec![] },
        BuildSettingKind::StringList => AttrKind::StringList,
    };
    AttrSchema { mandatory: true, ..optional(kind, false, "The value when nobody sets it.") }
}
