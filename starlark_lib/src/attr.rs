//! Attributes: what rules declare (`attr.*`) and what targets give, as plain data.

use std::sync::Arc;

use rbz_engine::label::Label;
use rbz_engine::value::{FunctionRef, ProviderId, Value as Plain};
use serde::{Deserialize, Serialize};

/// One attribute of a rule, as `attr.*` declared it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttrSchema {
    /// The type of its values; shared with the attributes of all targets.
    pub kind: Arc<AttrKind>,
    /// What it is when a target does not give it.
    pub default: AttrDefault,
    /// Whether every target must give it.
    pub mandatory: bool,
    /// Whether a `select` may stand in it.
    pub configurable: bool,
    /// Whether an empty list or dict is allowed.
    pub allow_empty: bool,
    /// What it is for, as the reference shows it.
    pub doc: Arc<str>,
}

impl AttrSchema {
    /// Of an attribute with labels, what may stand there.
    pub fn labels(&self) -> Option<&LabelAttr> {
        match &*self.kind {
            AttrKind::Label(attr)
            | AttrKind::LabelList(attr)
            | AttrKind::LabelKeyedStringDict(attr)
            | AttrKind::StringKeyedLabelDict(attr) => Some(attr),
            _ => None,
        }
    }

    /// Whether a `transition` configures its dependencies.
    pub fn is_transitioned(&self) -> bool {
        self.labels().is_some_and(|attr| matches!(attr.cfg, Cfg::Transition(_)))
    }
}

/// The type of an attribute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AttrKind {
    /// `attr.bool`
    Bool,
    /// `attr.int`; one of `values` unless that is empty.
    Int {
        /// What is allowed.
        values: Vec<i64>,
    },
    /// `attr.string`; one of `values` unless that is empty.
    String {
        /// What is allowed.
        values: Vec<Arc<str>>,
    },
    /// `attr.string_list`
    StringList,
    /// `attr.int_list`
    IntList,
    /// `attr.string_dict`
    StringDict,
    /// `attr.string_list_dict`
    StringListDict,
    /// `attr.label`
    Label(LabelAttr),
    /// `attr.label_list`
    LabelList(LabelAttr),
    /// `attr.label_keyed_string_dict`
    LabelKeyedStringDict(LabelAttr),
    /// `attr.string_keyed_label_dict`
    StringKeyedLabelDict(LabelAttr),
    /// `attr.output`: a name in the package, a file that the target makes.
    Output,
    /// `attr.output_list`
    OutputList,
}

/// What an attribute of labels accepts, and how its targets are configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelAttr {
    /// Which files it accepts.
    pub allow_files: AllowFiles,
    /// Whether it must be exactly one file (`allow_single_file`).
    pub single_file: bool,
    /// Alternatives, each a set of providers that a rule target must have; empty: no demand.
    pub providers: Vec<Vec<ProviderId>>,
    /// How the dependency is configured.
    pub cfg: Cfg,
    /// Whether it must be something that can be run.
    pub executable: bool,
}

/// Which files an attribute of labels accepts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AllowFiles {
    /// None: only rule targets.
    No,
    /// Any.
    Any,
    /// Those whose name ends in one of these.
    Suffixes(Vec<Arc<str>>),
}

/// The configuration of a dependency, relative to its dependent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Cfg {
    /// The same.
    Target,
    /// That of tools.
    Exec,
    /// What a `transition` makes of it: the module and name of the transition.
    Transition(FunctionRef),
}

/// What an attribute is when a target does not give it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AttrDefault {
    /// This value.
    Value(AttrValue),
    /// What a function of other attributes returns (a computed default): its name.
    Computed(FunctionRef),
}

/// The value of an attribute in a BUILD file, converted to the attribute's type. Labels are
/// absolute. `select` is unresolved: see [`Configurable`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AttrValue {
    /// Not given, and no default.
    None,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string.
    String(Arc<str>),
    /// Strings.
    StringList(Vec<Arc<str>>),
    /// Integers.
    IntList(Vec<i64>),
    /// String to string.
    StringDict(Vec<(Arc<str>, Arc<str>)>),
    /// String to strings.
    StringListDict(Vec<(Arc<str>, Vec<Arc<str>>)>),
    /// A label.
    Label(Label),
    /// Labels.
    LabelList(Vec<Label>),
    /// Label to string.
    LabelKeyedStringDict(Vec<(Label, Arc<str>)>),
    /// String to label.
    StringKeyedLabelDict(Vec<(Arc<str>, Label)>),
}

impl AttrValue {
    /// The labels in it, in order.
    pub fn labels(&self) -> Vec<Label> {
        match self {
            AttrValue::Label(label) => vec![label.clone()],
            AttrValue::LabelList(labels) => labels.clone(),
            AttrValue::LabelKeyedStringDict(entries) => {
                entries.iter().map(|(label, _)| label.clone()).collect()
            }
            AttrValue::StringKeyedLabelDict(entries) => {
                entries.iter().map(|(_, label)| label.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What stands for it in the name of an output: a string itself, of a label its name.
    pub fn as_part_of_name(&self) -> Option<&str> {
        match self {
            AttrValue::String(text) => Some(text),
            AttrValue::Label(label) => Some(label.name()),
            _ => None,
        }
    }

    /// The same as a plain value: labels are no dependencies there.
    pub fn to_plain(&self) -> Plain {
        let strings = |items: &[Arc<str>]| items.iter().cloned().map(Plain::Str).collect();
        match self {
            AttrValue::None => Plain::None,
            AttrValue::Bool(value) => Plain::Bool(*value),
            AttrValue::Int(value) => Plain::Int(*value),
            AttrValue::String(text) => Plain::Str(text.clone()),
            AttrValue::StringList(items) => Plain::List(strings(items)),
            AttrValue::IntList(items) => {
                Plain::List(items.iter().copied().map(Plain::Int).collect())
            }
            AttrValue::StringDict(entries) => Plain::Dict(
                entries
                    .iter()
                    .map(|(key, value)| (Plain::Str(key.clone()), Plain::Str(value.clone())))
                    .collect(),
            ),
            AttrValue::StringListDict(entries) => Plain::Dict(
                entries
                    .iter()
                    .map(|(key, items)| (Plain::Str(key.clone()), Plain::List(strings(items))))
                    .collect(),
            ),
            AttrValue::Label(label) => Plain::Label(label.clone()),
            AttrValue::LabelList(labels) => {
                Plain::List(labels.iter().cloned().map(Plain::Label).collect())
            }
            AttrValue::LabelKeyedStringDict(entries) => Plain::Dict(
                entries
                    .iter()
                    .map(|(label, text)| (Plain::Label(label.clone()), Plain::Str(text.clone())))
                    .collect(),
            ),
            AttrValue::StringKeyedLabelDict(entries) => Plain::Dict(
                entries
                    .iter()
                    .map(|(text, label)| (Plain::Str(text.clone()), Plain::Label(label.clone())))
                    .collect(),
            ),
        }
    }
}

/// An attribute's value that may depend on the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Configurable {
    /// The same in every configuration.
    Plain(AttrValue),
    /// The concatenation (`+`, `|`) of these, at least one of them a `select`.
    Select(Vec<SelectPart>),
}

/// One operand of a concatenation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SelectPart {
    /// A value.
    Plain(AttrValue),
    /// `select({...})`
    Select {
        /// Condition and value, `AttrValue::None` for "as if not given"; in order.
        branches: Vec<(Label, AttrValue)>,
        /// The value of `//conditions:default`.
        default: Option<AttrValue>,
        /// What to say when none matches.
        no_match_error: Arc<str>,
    },
}

/// The attributes of a target by name. Those that were not given are not in it.
///
/// A sorted list: there are few of them, for each of very many targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attrs(Vec<(Arc<str>, Configurable)>);

impl Attrs {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(key, _)| (**key).cmp(name))
    }

    /// The value of the attribute `name`.
    pub fn get(&self, name: &str) -> Option<&Configurable> {
        self.find(name).ok().map(|index| &self.0[index].1)
    }

    /// Whether the attribute `name` was given.
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Sets an attribute.
    pub fn insert(&mut self, name: Arc<str>, value: Configurable) {
        match self.find(&name) {
            Ok(index) => self.0[index].1 = value,
            Err(index) => self.0.insert(index, (name, value)),
        }
    }

    /// Takes an attribute away.
    pub fn remove(&mut self, name: &str) -> Option<Configurable> {
        self.find(name).ok().map(|index| self.0.remove(index).1)
    }

    /// All values, by name.
    pub fn values(&self) -> impl Iterator<Item = &Configurable> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Gives back memory that is not used.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

impl<'a> IntoIterator for &'a Attrs {
    type Item = &'a (Arc<str>, Configurable);
    type IntoIter = std::slice::Iter<'a, (Arc<str>, Configurable)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
