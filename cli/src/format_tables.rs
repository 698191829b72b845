//! The tables of a workspace that say what formatting sorts, as buildifier finds them too.

use std::path::{Path, PathBuf};

use rbz_format::{COMPILE_ORDER, Tables};
use serde::Deserialize;

use crate::command_error::CommandError;

/// The file that says where the tables are.
pub const CONFIGURATION: &str = ".buildifier.json";

/// The file of the tables that `rbz init` writes.
pub const TABLES: &str = ".buildifier-tables.json";

/// What of buildifier's configuration changes what files look like.
#[derive(Deserialize, Default)]
struct Configuration {
    tables: Option<PathBuf>,
    #[serde(rename = "addTables")]
    added: Option<PathBuf>,
}

/// The configuration that keeps buildifier from sorting what Lisp compiles in order.
pub fn configuration() -> String {
    format!("{{\n  \"addTables\": \"{TABLES}\"\n}}\n")
}

/// The tables for it. buildifier cannot tell which groups of files hold sources of Lisp.
pub fn tables() -> String {
    let arguments = ["filegroup.srcs"].into_iter().chain(COMPILE_ORDER);
    let lines: Vec<_> = arguments.map(|argument| format!("    \"{argument}\": true")).collect();
    format!("{{\n  \"SortableDenylist\": {{\n{}\n  }}\n}}\n", lines.join(",\n"))
}

/// The tables for files of the workspace at `root`.
pub fn of_workspace(root: Option<&Path>) -> Result<Tables, CommandError> {
    let standard = Tables::standard();
    let Some(root) = root else { return Ok(standard) };
    let path = root.join(CONFIGURATION);
    let Some(text) = read(&path)? else { return Ok(standard) };
    let configuration: Configuration =
        serde_json::from_str(&text).map_err(|error| wrong(&path, &error))?;
    let mut tables = match configuration.tables {
        Some(name) => {
            let mut own = named(root, &name)?;
            own.sortable_denylist.extend(COMPILE_ORDER.map(|name| (name.to_owned(), true)));
            own
        }
        None => standard,
    };
    if let Some(name) = configuration.added {
        tables = tables.merged(named(root, &name)?);
    }
    if tables.strip_label_leading_slashes {
        let text = format!("`{}` asks for labels without `//`", path.display());
        return Err(CommandError::command_line(text)
            .hint("`StripLabelLeadingSlashes` makes labels that no BUILD file can have"));
    }
    Ok(tables)
}

fn named(root: &Path, name: &Path) -> Result<Tables, CommandError> {
    let path = root.join(name);
    let Some(text) = read(&path)? else {
        let text = format!("`{CONFIGURATION}` names `{}`, which is not there", name.display());
        return Err(CommandError::command_line(text));
    };
    Tables::parse(&text).map_err(|error| wrong(&path, &error))
}

fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let text = format!("cannot read `{}`: {error}", path.display());
            Err(CommandError::environment(text))
        }
    }
}

fn wrong(path: &Path, error: &serde_json::Error) -> CommandError {
    CommandError::command_line(format!("`{}` is wrong: {error}", path.display()))
}
