//! The forms in which configured targets are written.

use prost::Message;
use rbz_engine::diagnostic::Diagnostic;
use rbz_starlark::builtin_providers::DefaultInfo;
use rbz_starlark::configuration::Configuration;
use rbz_starlark::format_function::{FormatFunction, Formatted};

use crate::analysis_proto as proto;
use crate::build_proto::ToJson;
use crate::configured::ConfiguredWorld;
use crate::evaluator::Meaning;
use crate::graph::NodeId;
use crate::output::messages::Messages;
use crate::output::{Format, OutputOptions, ordered, write};

/// `--output` of `cquery`
#[derive(Clone, Debug)]
pub enum ConfiguredFormat {
    /// As the form of that name of `query`, with configurations.
    Plain(Format),
    /// The files that building it yields.
    Files,
    /// What a function in Starlark makes of each target.
    Starlark(FormatFunction),
    /// With what is in another configuration.
    Transitions,
    /// Bazel's `CqueryResult`.
    Proto,
    /// The same as JSON.
    JsonProto,
}

/// Configured targets as text, or as bytes that are none.
pub fn write_configured(
    configured: &mut ConfiguredWorld,
    meaning: &Meaning,
    format: &ConfiguredFormat,
    options: &OutputOptions,
) -> Result<Vec<u8>, Diagnostic> {
    if let ConfiguredFormat::Plain(format) = format {
        let options = OutputOptions { format: *format, ..options.clone() };
        return write(&mut configured.world, meaning, &options);
    }
    let nodes = ordered(&mut configured.world, meaning, options)?;
    let end = if options.null_terminated { '\0' } else { '\n' };
    Ok(match format {
        ConfiguredFormat::Plain(_) => Vec::new(),
        ConfiguredFormat::Files => files(configured, &nodes, end).into_bytes(),
        ConfiguredFormat::Starlark(function) => {
            formatted(configured, &nodes, function, end)?.into_bytes()
        }
        ConfiguredFormat::Transitions => transitions(configured, &nodes, end).into_bytes(),
        ConfiguredFormat::Proto => result(configured, &nodes, options)?.encode_to_vec(),
        ConfiguredFormat::JsonProto => {
            let json = serde_json::Value::from(result(configured, &nodes, options)?.to_json());
            format!("{json:#}\n").into_bytes()
        }
    })
}

/// Each file once.
fn files(configured: &ConfiguredWorld, nodes: &[NodeId], end: char) -> String {
    let mut paths = indexmap::IndexSet::new();
    for node in nodes {
        let Some(target) = &configured.made(*node).target else { continue };
        let info: DefaultInfo = target.default_info();
        paths.extend(info.files.to_files().iter().map(|file| file.exec_path().to_owned()));
    }
    paths.into_iter().map(|path| format!("{path}{end}")).collect()
}

fn formatted(
    configured: &ConfiguredWorld,
    nodes: &[NodeId],
    function: &FormatFunction,
    end: char,
) -> Result<String, Diagnostic> {
    let targets: Vec<Formatted> = nodes
        .iter()
        .filter_map(|node| {
            let made = configured.made(*node);
            Some(Formatted {
                label: configured.world.graph.node(*node).label.clone(),
                target: made.target.clone()?,
                configuration: made.configuration.clone(),
            })
        })
        .collect();
    let lines = function.apply(configured.world.loader, &targets)?;
    Ok(lines.into_iter().map(|line| format!("{line}{end}")).collect())
}

/// Each target, and below it the dependencies that are in another configuration than itself.
fn transitions(configured: &ConfiguredWorld, nodes: &[NodeId], end: char) -> String {
    let graph = &configured.world.graph;
    let mut text = String::new();
    for node in nodes {
        text += &format!("{}{end}", graph.node(*node).shown());
        let own = &configured.made(*node).configuration;
        for edge in graph.edges(*node) {
            let other = &configured.made(edge.to).configuration;
            if let (Some(own), Some(other)) = (own, other)
                && own != other
            {
                let (to, attribute) = (graph.node(edge.to), graph.attribute_name(edge.attribute));
                text += &format!("  {attribute}#{} -> {}{end}", to.label, other.name());
            }
        }
    }
    text
}

fn result(
    configured: &mut ConfiguredWorld,
    nodes: &[NodeId],
    options: &OutputOptions,
) -> Result<proto::CqueryResult, Diagnostic> {
    let mut messages = Messages::new(&options.messages, options.relative_locations);
    let mut result = proto::CqueryResult::default();
    let mut configurations = Configurations::default();
    for node in nodes {
        let target = messages.target(&mut configured.world, *node)?;
        let configuration = configured.made(*node).configuration.as_deref();
        let configuration_id = configuration.map_or(0, |own| configurations.id(own));
        result.results.push(proto::ConfiguredTarget { target: Some(target), configuration_id });
    }
    result.configurations = configurations.messages;
    Ok(result)
}

/// The configurations that messages mention, by number.
#[derive(Debug, Default)]
pub struct Configurations {
    /// Their messages.
    pub messages: Vec<proto::Configuration>,
}

impl Configurations {
    /// The number of a configuration, from 1.
    pub fn id(&mut self, configuration: &Configuration) -> u32 {
        let checksum = configuration.fingerprint().to_hex();
        if let Some(known) = self.messages.iter().find(|known| known.checksum == checksum) {
            return known.id;
        }
        // There are few of them.
        let id = self.messages.len() as u32 + 1;
        self.messages.push(proto::Configuration {
            id,
            mnemonic: configuration.name().to_string(),
            platform_name: configuration.native("cpu").as_str().unwrap_or_default().to_owned(),
            checksum,
        });
        id
    }
}
