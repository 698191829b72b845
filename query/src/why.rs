//! Why one target needs another: a shortest path, with the lines of BUILD files that make it.

use std::fmt;

use rbz_engine::diagnostic::{Diagnostic, Place};
use rbz_engine::label::Label;
use rbz_starlark::loader::Loader;
use rbz_starlark::mention;

use crate::graph::{AttributeId, NodeId};
use crate::node_set::NodeSet;
use crate::reverse::Step;
use crate::world::{World, WorldOptions};

/// What there is between two targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// The first needs the second.
    Path(Vec<Link>),
    /// Only the second needs the first.
    Backward(Vec<Link>),
    /// They are the same.
    Same,
    /// Nothing.
    None,
}

/// One target that names another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The one.
    pub from: Label,
    /// The other.
    pub to: Label,
    /// How.
    pub by: Naming,
    /// Where, or where the first is declared.
    pub place: Place,
    /// The line there.
    pub source: Option<String>,
}

/// How a target names another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// In this attribute.
    Attribute(String),
    /// The rule called so names it for all its targets, in this attribute.
    Rule(String, String),
    /// It is made by the other.
    Output,
    /// In its visibility.
    Visibility,
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Naming::Attribute(name) => write!(f, "in its `{name}`"),
            Naming::Rule(rule, name) => {
                write!(f, "by `{name}` of its rule `{rule}`, as all targets of that rule")
            }
            Naming::Output => f.write_str("which makes it"),
            Naming::Visibility => f.write_str("in its `visibility`"),
        }
    }
}

/// What there is between the targets that two patterns mean.
pub fn connection(
    loader: &Loader,
    options: &WorldOptions,
    from: &str,
    to: &str,
) -> Result<Connection, Diagnostic> {
    loader.threads().install(|| {
        let mut world = World::new(loader, options.clone());
        let (from, to) = (world.targets(from)?, world.targets(to)?);
        if from == to && from.len() == 1 {
            return Ok(Connection::Same);
        }
        let there = links(&mut world, &from, &to)?;
        if !there.is_empty() {
            return Ok(Connection::Path(there));
        }
        let back = links(&mut world, &to, &from)?;
        Ok(if back.is_empty() { Connection::None } else { Connection::Backward(back) })
    })
}

fn links(world: &mut World, from: &NodeSet, to: &NodeSet) -> Result<Vec<Link>, Diagnostic> {
    let path = world.shortest_path(from, to)?;
    let mut links = Vec::new();
    for pair in path.windows(2) {
        if let [Step { node: from, .. }, Step { node: to, attribute: Some(attribute) }] = pair {
            links.push(link(world, *from, *to, *attribute)?);
        }
    }
    Ok(links)
}

fn link(
    world: &mut World,
    from: NodeId,
    to: NodeId,
    attribute: AttributeId,
) -> Result<Link, Diagnostic> {
    let rule = world.rule_of(from)?;
    let (node, to) = (world.graph.node(from), world.graph.node(to).label.clone());
    let name = world.graph.attribute_name(attribute).to_string();
    let by = match (rule, node.rule()) {
        (Some(rule), Some(instance)) if rule.schema.attrs.contains_key(&*name) => {
            match instance.attrs.contains_key(&name) || is_of_suite(&name) {
                true if name == "visibility" => Naming::Visibility,
                true => Naming::Attribute(name.clone()),
                false => Naming::Rule(instance.rule.name().to_owned(), name.clone()),
            }
        }
        _ if name == "generator" => Naming::Output,
        _ if name == "visibility" => Naming::Visibility,
        _ => Naming::Attribute(name.clone()),
    };
    let found = match (&by, node.target()) {
        (Naming::Attribute(_) | Naming::Visibility, Some(target)) => {
            mention::find(world.loader, target, &name, &to)
        }
        _ => None,
    };
    let (place, source) = found.unwrap_or_else(|| {
        let place = node.place();
        let source = world.loader.source_line(&place);
        (place, source)
    });
    Ok(Link { from: node.label.clone(), to, by, place, source })
}

/// A suite has tests in this attribute that it does not name.
fn is_of_suite(name: &str) -> bool {
    name == "tests"
}
