//! Rules as queries see them: the attributes through which targets depend on others.

use std::collections::HashMap;
use std::sync::Arc;

use rbz_engine::label::Label;
use rbz_starlark::attr::{AttrDefault, AttrKind, Cfg, LabelAttr};
use rbz_starlark::rule::RuleSchema;

use crate::graph::{AttributeId, Graph};

/// A rule.
#[derive(Debug)]
pub struct RuleInfo {
    /// What it declares.
    pub schema: Arc<RuleSchema>,
    /// Its attributes whose labels are dependencies.
    pub dependencies: Vec<LabelAttribute>,
    /// The numbers of the names of all others: a `select` in them depends on its conditions.
    pub conditions: HashMap<Arc<str>, AttributeId>,
}

/// An attribute whose labels are dependencies.
#[derive(Debug)]
pub struct LabelAttribute {
    /// Its name.
    pub name: Arc<str>,
    /// The number of its name.
    pub id: AttributeId,
    /// Whether its targets are tools, configured for the machine that builds.
    pub tool: bool,
    /// What it holds when a target does not give it.
    pub default: Vec<Label>,
}

impl RuleInfo {
    /// What is to be known of a rule.
    pub fn new(schema: Arc<RuleSchema>, graph: &mut Graph) -> RuleInfo {
        let mut dependencies = Vec::new();
        let mut conditions = HashMap::new();
        for (name, attribute) in &schema.attrs {
            let Some(label) = label_attr(&attribute.kind) else {
                if attribute.configurable {
                    conditions.insert(name.clone(), graph.attribute(name));
                }
                continue;
            };
            let mut default = Vec::new();
            if let AttrDefault::Value(value) = &attribute.default {
                default.extend(value.labels());
            }
            dependencies.push(LabelAttribute {
                name: name.clone(),
                id: graph.attribute(name),
                tool: matches!(label.cfg, Cfg::Exec),
                default,
            });
        }
        RuleInfo { schema, dependencies, conditions }
    }
}

/// What an attribute of dependencies accepts; `None` for any other attribute.
fn label_attr(kind: &AttrKind) -> Option<&LabelAttr> {
    match kind {
        AttrKind::Label(attr)
        | AttrKind::LabelList(attr)
        | AttrKind::LabelKeyedStringDict(attr)
        | AttrKind::StringKeyedLabelDict(attr) => Some(attr),
        _ => None,
    }
}
