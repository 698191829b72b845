//! The forms in which the targets of a query are written.

use prost::Message;
use rbz_engine::diagnostic::Diagnostic;

use crate::build_proto::{QueryResult, Target, ToJson};
use crate::evaluator::Meaning;
use crate::graph::NodeId;
use crate::order::{Order, Rank, by_dependency, by_label, ranked};
use crate::output::messages::{MessageOptions, Messages};
use crate::world::World;

mod build_text;
mod dot;
mod lines;
pub mod messages;
mod xml;

/// `--output`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One label to a line.
    Label,
    /// Kind and label.
    LabelKind,
    /// As a BUILD file would have them.
    Build,
    /// The packages.
    Package,
    /// Place, kind and label.
    Location,
    /// Rank by the shortest way, and label.
    MinRank,
    /// Rank by the longest way, and label.
    MaxRank,
    /// For `dot`.
    Graph,
    /// Bazel's `QueryResult`.
    Proto,
    /// Bazel's `Target`s, each after its length.
    StreamedProto,
    /// Bazel's `Target`s as JSON, one to a line.
    StreamedJsonProto,
    /// XML.
    Xml,
}

impl Format {
    /// Every one of them by its name.
    pub const NAMES: [(&'static str, Format); 13] = [
        ("build", Format::Build),
        ("graph", Format::Graph),
        ("json", Format::StreamedJsonProto),
        ("label", Format::Label),
        ("label_kind", Format::LabelKind),
        ("location", Format::Location),
        ("maxrank", Format::MaxRank),
        ("minrank", Format::MinRank),
        ("package", Format::Package),
        ("proto", Format::Proto),
        ("streamed_jsonproto", Format::StreamedJsonProto),
        ("streamed_proto", Format::StreamedProto),
        ("xml", Format::Xml),
    ];

    /// The form of this name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }
}

/// How targets are written.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// In which form.
    pub format: Format,
    /// In which order.
    pub order: Order,
    /// Whether lines end with a NUL.
    pub null_terminated: bool,
    /// Whether paths are relative to the workspace.
    pub relative_locations: bool,
    /// Whether targets of a graph with the same neighbours are drawn as one.
    pub factored: bool,
    /// How many characters the text of a node of a graph may have; `None`: any number.
    pub node_limit: Option<usize>,
    /// What is in messages.
    pub messages: MessageOptions,
    /// What is in XML.
    pub xml: MessageOptions,
}

/// The targets of `meaning` as text, or as bytes that are none.
pub fn write(
    world: &mut World,
    meaning: &Meaning,
    options: &OutputOptions,
) -> Result<Vec<u8>, Diagnostic> {
    let nodes = ordered(world, meaning, options)?;
    let end = if options.null_terminated { '\0' } else { '\n' };
    Ok(match options.format {
        Format::Label => lines::labels(&world.graph, &nodes, end),
        Format::LabelKind => lines::kinds(&world.graph, &nodes, end),
        Format::Package => lines::packages(&world.graph, &nodes, end),
        Format::Location => lines::locations(world, &nodes, options, end)?,
        Format::MinRank => {
            lines::ranks(&world.graph, &ranked(&world.graph, &meaning.targets, Rank::Min), end)
        }
        Format::MaxRank => {
            lines::ranks(&world.graph, &ranked(&world.graph, &meaning.targets, Rank::Max), end)
        }
        Format::Build => build_text::text(world, &nodes, options)?,
        Format::Graph => dot::text(&world.graph, &nodes, options),
        Format::Xml => xml::text(&messages(world, &nodes, &options.xml, options)?),
        Format::StreamedJsonProto => {
            let messages = messages(world, &nodes, &options.messages, options)?;
            messages
                .iter()
                .map(|message| format!("{}\n", serde_json::Value::from(message.to_json())))
                .collect()
        }
        Format::Proto => {
            let target = messages(world, &nodes, &options.messages, options)?;
            return Ok(QueryResult { target }.encode_to_vec());
        }
        Format::StreamedProto => {
            let messages = messages(world, &nodes, &options.messages, options)?;
            return Ok(messages.iter().flat_map(Message::encode_length_delimited_to_vec).collect());
        }
    }
    .into_bytes())
}

fn messages(
    world: &mut World,
    nodes: &[NodeId],
    of: &MessageOptions,
    options: &OutputOptions,
) -> Result<Vec<Target>, Diagnostic> {
    let mut messages = Messages::new(of, options.relative_locations);
    nodes.iter().map(|node| messages.target(world, *node)).collect()
}

/// The targets in the order in which they are written.
pub(crate) fn ordered(
    world: &mut World,
    meaning: &Meaning,
    options: &OutputOptions,
) -> Result<Vec<NodeId>, Diagnostic> {
    let is_graph = matches!(options.format, Format::Graph | Format::MinRank | Format::MaxRank);
    let by_edges = is_graph || matches!(options.order, Order::Deps | Order::Full);
    if by_edges {
        // Of targets that were only named nobody knows what they depend on.
        let nodes: Vec<NodeId> = meaning.targets.iter().collect();
        world.expand(&nodes)?;
    }
    Ok(match (options.order, &meaning.path) {
        (Order::Auto, Some(path)) => path.clone(),
        (Order::No, _) => meaning.targets.iter().collect(),
        _ if by_edges => by_dependency(&world.graph, &meaning.targets),
        _ => by_label(&world.graph, &meaning.targets),
    })
}
