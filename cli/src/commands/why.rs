//! `rbz why`: a shortest path from one target to another, with the lines that make it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rbz_query::why::{Connection, Link, connection};
use rbz_query::world::WorldOptions;

use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::Workspace;
use crate::console::{Console, write_data};
use crate::environment::Environment;
use crate::option_values::repositories;
use crate::query_arguments::WhyArguments;
use crate::query_request::world;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Why {
    from: String,
    to: String,
    world: WorldOptions,
    overrides: BTreeMap<String, PathBuf>,
}

impl Why {
    /// Checks the arguments of `rbz why`.
    pub fn new(arguments: &WhyArguments, environment: &Environment) -> Result<Why, CommandError> {
        let [from, to] = &arguments.residue[..] else {
            return Err(CommandError::command_line("`rbz why` needs two targets")
                .hint("`rbz why //app //lib` shows how `//app` comes to need `//lib`"));
        };
        Ok(Why {
            from: from.clone(),
            to: to.clone(),
            world: WorldOptions {
                keep_going: arguments.loading.keep_going,
                ..world(&arguments.followed)
            },
            overrides: repositories(&arguments.loading.override_repository, environment)?,
        })
    }
}

/// Shows the path.
pub fn run(workspace: &Workspace, why: &Why, console: &mut Console) -> Result<(), CommandError> {
    let options = WorldOptions { directory: workspace.directory(), ..why.world.clone() };
    let found = workspace.with_loader(&why.overrides, console, |loader| {
        connection(loader, &options, &why.from, &why.to)
    })?;
    let found = found.map_err(|error| match ErrorKind::from(error.class) {
        ErrorKind::BuildFailed => CommandError::new(ErrorKind::QueryFailed, error.to_string()),
        _ => error.into(),
    })?;
    let (from, to) = (&why.from, &why.to);
    match found {
        Connection::Path(links) => write_data(&path(&links)),
        Connection::Same => write_data(&format!("`{from}` and `{to}` are the same target\n")),
        Connection::Backward(links) => {
            write_data(&format!(
                "`{from}` does not need `{to}`; the other way round:\n\n{}",
                path(&links)
            ))?;
            Err(CommandError::already_reported(ErrorKind::BuildFailed))
        }
        Connection::None => {
            write_data(&format!("`{from}` does not need `{to}`, nor does `{to}` need `{from}`\n"))?;
            Err(CommandError::already_reported(ErrorKind::BuildFailed))
        }
    }
}

fn path(links: &[Link]) -> String {
    let mut text = String::new();
    for link in links {
        text += &format!("{}\n  needs {} {}\n", link.from, link.to, link.by);
        text += &format!("    {}", link.place);
        if let Some(source) = &link.source {
            text += &format!(": {}", source.trim());
        }
        text += "\n";
    }
    text
}
