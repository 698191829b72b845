//! `rbz analyze-profile`: what a profile says.

use std::path::Path;

use crate::command_error::CommandError;
use crate::directories::expand_home;
use crate::environment::Environment;
use crate::profile_analysis;

/// The text about the profile that `arguments` name.
pub fn text(
    arguments: &[String],
    here: &Path,
    environment: &Environment,
) -> Result<String, CommandError> {
    match arguments {
        [file] => profile_analysis::of_file(&expand_home(Path::new(file), environment, here)),
        _ => Err(CommandError::command_line("`rbz analyze-profile` needs one file")
            .hint("`rbz build --profile=FILE …` writes it")),
    }
}
