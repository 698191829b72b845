//! Targets as messages: what the forms for other programs are made of.

use std::collections::HashMap;
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{Label, PackageId};
use rbz_starlark::attr::{AttrDefault, AttrKind, AttrSchema, AttrValue, Configurable, SelectPart};
use rbz_starlark::package::{
    Package, PackageGroup, RuleTarget, Target, TargetKind, Visibility, VisibilityRule,
};

use crate::attribute_text::possible_values;
use crate::build_proto as proto;
use crate::build_proto::{AttributeType, TargetType};
use crate::graph::{NodeId, NodeKind};
use crate::output::lines::location;
use crate::rule_info::RuleInfo;
use crate::world::World;

/// What of targets is in their messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageOptions {
    /// Attributes that a target does not give.
    pub default_values: bool,
    /// The values of all branches together, instead of `select`s.
    pub flatten_selects: bool,
    /// Where things are declared.
    pub locations: bool,
    /// These attributes; `None`: all.
    pub attributes: Option<Vec<String>>,
    /// What rules depend on, and what they declare as their outputs.
    pub inputs_and_outputs: bool,
    /// The calls of macros that led to rules.
    pub instantiation_stack: bool,
}

impl Default for MessageOptions {
    fn default() -> Self {
        MessageOptions {
            default_values: true,
            flatten_selects: true,
            locations: true,
            attributes: None,
            inputs_and_outputs: true,
            instantiation_stack: false,
        }
    }
}

/// The labels of the outputs of the targets of a package, by the targets' names.
type Outputs = HashMap<Arc<str>, Vec<Label>>;

/// Makes messages of nodes.
pub struct Messages<'o> {
    options: &'o MessageOptions,
    relative: bool,
    outputs: HashMap<PackageId, Outputs>,
}

impl<'o> Messages<'o> {
    /// With these options; `relative`: paths are relative to the workspace.
    pub fn new(options: &'o MessageOptions, relative: bool) -> Self {
        Messages { options, relative, outputs: HashMap::new() }
    }

    /// The message of a node.
    pub fn target(&mut self, world: &mut World, id: NodeId) -> Result<proto::Target, Diagnostic> {
        let place = match self.options.locations {
            true => Some(location(world, id, self.relative)?),
            false => None,
        };
        let rule = world.rule_of(id)?;
        let node = world.graph.node(id).clone();
        let name = node.label.to_string();
        let mut message = proto::Target::default();
        match &node.kind {
            NodeKind::Loaded(_) => {
                message.set_type(TargetType::SourceFile);
                let subinclude = self.loaded_by(world, id)?;
                message.source_file = Some(proto::SourceFile {
                    name,
                    location: place,
                    subinclude,
                    ..Default::default()
                });
            }
            NodeKind::Target(package, target) => match (&target.kind, rule) {
                (TargetKind::Rule(instance), Some(rule)) => {
                    message.set_type(TargetType::Rule);
                    let configured = node.configured.as_ref().map(|known| &known.attributes);
                    let mut own = self.rule(instance, target, &rule, configured);
                    own.location = place;
                    if self.options.inputs_and_outputs {
                        own.rule_input = world.declared_dependencies(id)?;
                        own.rule_output = self.outputs_of(package, target);
                    }
                    message.rule = Some(own);
                }
                (TargetKind::GeneratedFile { generator }, _) => {
                    message.set_type(TargetType::GeneratedFile);
                    let generating_rule = target.label.package().label(generator).to_string();
                    message.generated_file =
                        Some(proto::GeneratedFile { name, generating_rule, location: place });
                }
                (TargetKind::PackageGroup(group), _) => {
                    message.set_type(TargetType::PackageGroup);
                    message.package_group = Some(package_group(name, group));
                }
                (TargetKind::SourceFile | TargetKind::Rule(_), _) => {
                    message.set_type(TargetType::SourceFile);
                    message.source_file = Some(proto::SourceFile {
                        name,
                        location: place,
                        subinclude: self.loaded_by(world, id)?,
                        package_group: groups(&target.visibility),
                        visibility_label: visibility(&target.visibility, target.label.package()),
                    });
                }
            },
        }
        Ok(message)
    }

    /// The .bzl files that a BUILD file loads.
    fn loaded_by(&self, world: &mut World, id: NodeId) -> Result<Vec<String>, Diagnostic> {
        let label = world.graph.node(id).label.clone();
        let is_build_file = matches!(label.name(), "BUILD" | "BUILD.bazel");
        if !is_build_file {
            return Ok(Vec::new());
        }
        let files = world.files.of_package(label.package(), world.loader)?;
        Ok(files.into_iter().map(|(label, _)| label.to_string()).collect())
    }

    fn outputs_of(&mut self, package: &Arc<Package>, target: &Target) -> Vec<String> {
        let all = self.outputs.entry(package.id.clone()).or_insert_with(|| {
            let mut outputs = Outputs::new();
            for other in package.targets.values() {
                if let TargetKind::GeneratedFile { generator } = &other.kind {
                    outputs.entry(generator.clone()).or_default().push(other.label.clone());
                }
            }
            outputs
        });
        let own = all.get(target.label.name()).map_or(&[][..], Vec::as_slice);
        own.iter().map(Label::to_string).collect()
    }

    fn rule(
        &self,
        instance: &RuleTarget,
        target: &Target,
        rule: &RuleInfo,
        configured: Option<&HashMap<Arc<str>, AttrValue>>,
    ) -> proto::Rule {
        let mut attribute = Vec::new();
        for (name, schema) in &rule.schema.attrs {
            let shown = match name.strip_prefix('_') {
                Some(private) => format!("${private}"),
                None => name.to_string(),
            };
            let is_wanted =
                self.options.attributes.as_ref().is_none_or(|wanted| {
                    wanted.iter().any(|word| *word == shown || **word == **name)
                });
            let given = instance.attrs.get(name);
            let is_name = &**name == "name";
            if !is_wanted || (given.is_none() && !is_name && !self.options.default_values) {
                continue;
            }
            let known = configured.and_then(|known| known.get(name));
            let mut message = if is_name {
                let name = AttrValue::String(target.label.name().into());
                simple(schema, &[name])
            } else if let Some(value) = known {
                simple(schema, std::slice::from_ref(value))
            } else {
                self.attribute(given, schema)
            };
            message.name = shown;
            message.explicitly_specified = Some(given.is_some() || is_name);
            message.nodep = (&**name == "visibility").then_some(true);
            attribute.push(message);
        }
        let mut stack = Vec::new();
        if self.options.instantiation_stack {
            stack.push(format!("{}: <toplevel>", target.place));
            stack.extend(instance.macros.iter().map(|(place, name)| format!("{place}: {name}")));
        }
        proto::Rule {
            name: target.label.to_string(),
            rule_class: instance.rule.name().to_owned(),
            attribute,
            instantiation_stack: stack,
            ..Default::default()
        }
    }

    fn attribute(&self, given: Option<&Configurable>, schema: &AttrSchema) -> proto::Attribute {
        match given {
            Some(Configurable::Select(parts)) if !self.options.flatten_selects => {
                let kind = attribute_type(&schema.kind);
                let mut message = proto::Attribute {
                    selector_list: Some(proto::SelectorList {
                        r#type: Some(kind as i32),
                        elements: parts.iter().map(|part| selector(part, schema)).collect(),
                    }),
                    ..Default::default()
                };
                message.set_type(AttributeType::SelectorList);
                message
            }
            given => simple(schema, &possible_values(given, schema)),
        }
    }
}

/// The type of an attribute, as messages have it.
pub fn attribute_type(kind: &AttrKind) -> AttributeType {
    match kind {
        AttrKind::Bool => AttributeType::Boolean,
        AttrKind::Int { .. } => AttributeType::Integer,
        AttrKind::String { .. } => AttributeType::String,
        AttrKind::StringList => AttributeType::StringList,
        AttrKind::IntList => AttributeType::IntegerList,
        AttrKind::StringDict => AttributeType::StringDict,
        AttrKind::StringListDict => AttributeType::StringListDict,
        AttrKind::Label(_) => AttributeType::Label,
        AttrKind::LabelList(_) => AttributeType::LabelList,
        AttrKind::LabelKeyedStringDict(_) => AttributeType::LabelKeyedStringDict,
        AttrKind::StringKeyedLabelDict(_) => AttributeType::LabelDictUnary,
        AttrKind::Output => AttributeType::Output,
        AttrKind::OutputList => AttributeType::OutputList,
    }
}

/// An attribute that is one of these values. Of several scalar values none is told, of several
/// collections everything that is in one.
fn simple(schema: &AttrSchema, values: &[AttrValue]) -> proto::Attribute {
    let fields = match values {
        [value] => fields(value),
        values => {
            let mut all = Fields::default();
            for value in values {
                let fields = fields(value);
                all.list.extend(fields.list);
                all.dict.extend(fields.dict);
                all.list_dict.extend(fields.list_dict);
                all.ints.extend(fields.ints);
            }
            all.without_repetition()
        }
    };
    let kind = attribute_type(&schema.kind);
    let mut message = proto::Attribute {
        int_value: fields.int,
        string_value: fields.string,
        boolean_value: fields.boolean,
        string_list_value: fields.list,
        string_list_dict_value: fields.list_dict,
        int_list_value: fields.ints,
        ..Default::default()
    };
    match kind {
        AttributeType::LabelKeyedStringDict => message.label_keyed_string_dict_value = fields.dict,
        AttributeType::LabelDictUnary => message.label_dict_unary_value = fields.dict,
        _ => message.string_dict_value = fields.dict,
    }
    message.set_type(kind);
    message
}

fn selector(part: &SelectPart, schema: &AttrSchema) -> proto::Selector {
    let default = || match &schema.default {
        AttrDefault::Value(value) => value.clone(),
        AttrDefault::Computed(_) => AttrValue::None,
    };
    let entry = |label: Option<String>, value: &AttrValue| {
        let is_default = *value == AttrValue::None;
        let fields = if is_default { fields(&default()) } else { fields(value) };
        let mut entry = proto::SelectorEntry {
            label,
            is_default_value: Some(is_default),
            int_value: fields.int,
            string_value: fields.string,
            boolean_value: fields.boolean,
            string_list_value: fields.list,
            string_list_dict_value: fields.list_dict,
            int_list_value: fields.ints,
            ..Default::default()
        };
        match attribute_type(&schema.kind) {
            AttributeType::Boolean => (entry.int_value, entry.string_value) = (None, None),
            AttributeType::LabelKeyedStringDict => {
                entry.label_keyed_string_dict_value = fields.dict;
                return entry;
            }
            AttributeType::LabelDictUnary => {
                entry.label_dict_unary_value = fields.dict;
                return entry;
            }
            _ => {}
        }
        entry.string_dict_value = fields.dict;
        entry
    };
    match part {
        SelectPart::Plain(value) => proto::Selector {
            entries: vec![entry(Some("//conditions:default".to_owned()), value)],
            has_default_value: Some(true),
            no_match_error: None,
        },
        SelectPart::Select { branches, default, no_match_error } => {
            let branch =
                |(label, value): &(Label, AttrValue)| entry(Some(label.to_string()), value);
            let mut entries: Vec<_> = branches.iter().map(branch).collect();
            let last = default.as_ref();
            entries.extend(last.map(|value| entry(Some("//conditions:default".into()), value)));
            proto::Selector {
                entries,
                has_default_value: Some(default.is_some()),
                no_match_error: (!no_match_error.is_empty()).then(|| no_match_error.to_string()),
            }
        }
    }
}

/// A value in the fields that several messages have.
#[derive(Default)]
struct Fields {
    int: Option<i32>,
    string: Option<String>,
    boolean: Option<bool>,
    list: Vec<String>,
    ints: Vec<i32>,
    dict: Vec<proto::StringDictEntry>,
    list_dict: Vec<proto::StringListDictEntry>,
}

impl Fields {
    fn without_repetition(mut self) -> Self {
        fn once<T: PartialEq + Clone>(items: &mut Vec<T>) {
            let mut seen: Vec<T> = Vec::with_capacity(items.len());
            for item in items.drain(..) {
                if !seen.contains(&item) {
                    seen.push(item);
                }
            }
            *items = seen;
        }
        once(&mut self.list);
        once(&mut self.dict);
        once(&mut self.list_dict);
        self
    }
}

fn fields(value: &AttrValue) -> Fields {
    fn texts<T: ToString>(items: &[T]) -> Vec<String> {
        items.iter().map(T::to_string).collect()
    }
    fn pairs<K: ToString, V: ToString>(entries: &[(K, V)]) -> Vec<proto::StringDictEntry> {
        entries
            .iter()
            .map(|(key, value)| proto::StringDictEntry {
                key: key.to_string(),
                value: value.to_string(),
            })
            .collect()
    }
    // The messages have no room for larger numbers.
    let narrow =
        |number: i64| i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX });
    let mut fields = Fields::default();
    match value {
        AttrValue::None => {}
        AttrValue::Bool(value) => {
            fields.int = Some(i32::from(*value));
            fields.string = Some(value.to_string());
            fields.boolean = Some(*value);
        }
        AttrValue::Int(number) => fields.int = Some(narrow(*number)),
        AttrValue::String(text) => fields.string = Some(text.to_string()),
        AttrValue::Label(label) => fields.string = Some(label.to_string()),
        AttrValue::StringList(items) => fields.list = texts(items),
        AttrValue::LabelList(labels) => fields.list = texts(labels),
        AttrValue::IntList(items) => fields.ints = items.iter().copied().map(narrow).collect(),
        AttrValue::StringDict(entries) => fields.dict = pairs(entries),
        AttrValue::LabelKeyedStringDict(entries) => fields.dict = pairs(entries),
        AttrValue::StringKeyedLabelDict(entries) => fields.dict = pairs(entries),
        AttrValue::StringListDict(entries) => {
            fields.list_dict = entries
                .iter()
                .map(|(key, items)| proto::StringListDictEntry {
                    key: key.to_string(),
                    value: texts(items),
                })
                .collect();
        }
    }
    fields
}

fn package_group(name: String, group: &PackageGroup) -> proto::PackageGroup {
    let package = |pattern: &rbz_starlark::package::PackagePattern| {
        let sign = if pattern.exclude { "-" } else { "" };
        let text = match &pattern.rule {
            VisibilityRule::Public => "public".to_owned(),
            VisibilityRule::Package(package) => package.to_string(),
            VisibilityRule::Subpackages(package) if package.path.is_empty() => {
                format!("{package}...")
            }
            VisibilityRule::Subpackages(package) => format!("{package}/..."),
            VisibilityRule::Group(label) => label.to_string(),
        };
        format!("{sign}{text}")
    };
    proto::PackageGroup {
        name,
        contained_package: group.packages.iter().map(package).collect(),
        included_package_group: group.includes.iter().map(Label::to_string).collect(),
    }
}

fn groups(visibility: &Visibility) -> Vec<String> {
    let groups = visibility.rules.iter().filter_map(|rule| match rule {
        VisibilityRule::Group(label) => Some(label.to_string()),
        _ => None,
    });
    groups.collect()
}

fn visibility(visibility: &Visibility, own: &PackageId) -> Vec<String> {
    if visibility.rules.is_empty() {
        return vec!["//visibility:private".to_owned()];
    }
    let label = |rule: &VisibilityRule| match rule {
        VisibilityRule::Public => "//visibility:public".to_owned(),
        VisibilityRule::Package(package) if package == own => "//visibility:private".to_owned(),
        VisibilityRule::Package(package) => format!("{package}:__pkg__"),
        VisibilityRule::Subpackages(package) => format!("{package}:__subpackages__"),
        VisibilityRule::Group(label) => label.to_string(),
    };
    visibility.rules.iter().map(label).collect()
}
