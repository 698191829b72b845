//! Tables: which arguments of rules hold labels, which are sorted, and how arguments are ordered.

use std::collections::HashMap;

use serde::Deserialize;

/// What is known of rules' arguments. The names in files are those of buildifier's tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tables {
    /// Arguments that are labels or lists of labels.
    pub is_label_arg: HashMap<String, bool>,
    /// `rule.argument`: it is no label nevertheless.
    pub label_denylist: HashMap<String, bool>,
    /// Arguments that are lists whose order has no meaning.
    pub is_sortable_list_arg: HashMap<String, bool>,
    /// `rule.argument`: its order has a meaning nevertheless.
    pub sortable_denylist: HashMap<String, bool>,
    /// `rule.argument`: it is sorted too.
    pub sortable_allowlist: HashMap<String, bool>,
    /// The place of an argument, or of a `rule.argument`, among the others: those with small
    /// numbers come first, and all that are not in the table have 0.
    pub name_priority: HashMap<String, i32>,
    /// Labels lose their `//`: no label that rbz can read.
    pub strip_label_leading_slashes: bool,
    /// Labels of the own package lose it.
    pub shorten_absolute_labels_to_relative: bool,
}

const LABELS: &str = "
    app_target appdir base_package build_deps cc_deps ccdeps common_deps compile_deps compiler data
    default_visibility dep deps deps_java dont_depend_on env_deps envscripts exported_deps exports
    externs_list files globals implementation implementation_deps implements includes interface jar
    jars javadeps lib_deps library malloc model mods module_deps module_target of plugins
    private_deps proto_deps proto_target protos resource resources runtime_deps scope shared_deps
    similar_deps source_jar src srcs stripped_targets suites swigdeps target target_devices
    target_platforms template test test_data test_deps test_srcs tests tests_deps tool tools
    visibility";

const SORTED: &str = "
    cc_deps common_deps compile_deps configs constraints data default_visibility deps deps_java
    exported_deps exports filegroups files hdrs implementation_deps imports includes inherits
    javadeps lib_deps module_deps outs packages plugin_modules private_deps proto_deps protos pubs
    resources runtime_deps shared_deps similar_deps srcs swigdeps swig_includes tags test_data
    test_deps test_srcs test_tags tests tools to_start_extensions visibility";

const PRIORITIES: [(&str, i32); 24] = [
    ("name", -99),
    ("gwt_name", -98),
    ("package_name", -97),
    ("visible_node_name", -96),
    ("size", -95),
    ("timeout", -94),
    ("testonly", -93),
    ("src", -92),
    ("srcdir", -91),
    ("srcs", -90),
    ("out", -89),
    ("outs", -88),
    ("hdrs", -87),
    ("has_services", -86),
    ("include", -85),
    ("of", -84),
    ("baseline", -83),
    ("destdir", 1),
    ("exports", 2),
    ("runtime_deps", 3),
    ("deps", 4),
    ("implementation", 5),
    ("implements", 6),
    ("alwayslink", 7),
];

/// The `rule.argument`s whose order is the order of compilation.
pub const COMPILE_ORDER: [&str; 3] = ["lisp_binary.srcs", "lisp_library.srcs", "lisp_test.srcs"];

impl Tables {
    /// Those of buildifier, with the order of `srcs` of Lisp rules kept.
    pub fn standard() -> Self {
        let set =
            |names: &str| names.split_whitespace().map(|name| (name.to_owned(), true)).collect();
        Tables {
            is_label_arg: set(LABELS),
            label_denylist: set("package_group.includes"),
            is_sortable_list_arg: set(SORTED),
            sortable_denylist: set(&format!(
                "genrule.outs genrule.srcs cc_embed_data.srcs {}",
                COMPILE_ORDER.join(" ")
            )),
            sortable_allowlist: HashMap::new(),
            name_priority: PRIORITIES.map(|(name, place)| (name.to_owned(), place)).into(),
            strip_label_leading_slashes: false,
            shorten_absolute_labels_to_relative: false,
        }
    }

    /// The tables of a file, JSON as buildifier reads it.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// These with the entries of `other` added.
    #[must_use]
    pub fn merged(mut self, other: Tables) -> Self {
        self.is_label_arg.extend(other.is_label_arg);
        self.label_denylist.extend(other.label_denylist);
        self.is_sortable_list_arg.extend(other.is_sortable_list_arg);
        self.sortable_denylist.extend(other.sortable_denylist);
        self.sortable_allowlist.extend(other.sortable_allowlist);
        self.name_priority.extend(other.name_priority);
        self.strip_label_leading_slashes |= other.strip_label_leading_slashes;
        self.shorten_absolute_labels_to_relative |= other.shorten_absolute_labels_to_relative;
        self
    }

    pub(crate) fn has_labels(&self, rule: &str, argument: &str) -> bool {
        is_set(&self.is_label_arg, argument)
            && !is_set(&self.label_denylist, &format!("{rule}.{argument}"))
    }

    pub(crate) fn is_sorted(&self, rule: &str, argument: &str) -> bool {
        let context = format!("{rule}.{argument}");
        !is_set(&self.sortable_denylist, &context)
            && (is_set(&self.is_sortable_list_arg, argument)
                || is_set(&self.sortable_allowlist, &context))
    }

    pub(crate) fn place(&self, rule: &str, argument: &str) -> i32 {
        let own = self.name_priority.get(&format!("{rule}.{argument}"));
        own.or_else(|| self.name_priority.get(argument)).copied().unwrap_or(0)
    }
}

fn is_set(table: &HashMap<String, bool>, key: &str) -> bool {
    table.get(key).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_file_are_added() {
        let own = r#"{"IsSortableListArg": {"names": true}, "SortableDenylist": {"my_rule.srcs": true},
                      "IsListArg": {"x": true}, "NamePriority": {"size": 3}}"#;
        let tables = Tables::standard().merged(Tables::parse(own).expect("tables"));
        assert!(tables.is_sorted("any", "names") && tables.is_sorted("any", "srcs"));
        assert!(!tables.is_sorted("my_rule", "srcs") && !tables.is_sorted("lisp_library", "srcs"));
        assert_eq!(tables.place("any", "size"), 3);
    }
}
