//! The display: how messages are shown, by options and surroundings.

use crate::arguments::{DisplayOptions, When};
use crate::environment::Environment;

/// How messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    /// With colours.
    pub color: bool,
    /// With colours on stdout.
    pub data_color: bool,
    /// Redrawn in place.
    pub curses: bool,
    /// With what is going on.
    pub progress: bool,
}

impl Display {
    /// How the surroundings suggest, before options are known.
    pub fn of_environment(environment: &Environment) -> Display {
        let (terminal, color) = Self::suggested(environment);
        let data_color = color && environment.stdout_is_terminal;
        Display { color, data_color, curses: terminal, progress: true }
    }

    /// Whether there is a terminal that can redraw, and whether it is to have colours.
    fn suggested(environment: &Environment) -> (bool, bool) {
        let dumb = environment.variables.get("TERM").is_none_or(|term| term == "dumb");
        let no_color = environment.variables.get("NO_COLOR").is_some_and(|text| !text.is_empty());
        let terminal = environment.stderr_is_terminal && !dumb;
        (terminal, terminal && !no_color)
    }

    /// How `options` and the surroundings say.
    pub fn new(options: &DisplayOptions, environment: &Environment) -> Display {
        let (terminal, suggested_color) = Self::suggested(environment);
        let decide = |when, otherwise| match when {
            When::Yes => true,
            When::No => false,
            When::Auto => otherwise,
        };
        Display {
            color: decide(options.color, suggested_color),
            data_color: decide(options.color, suggested_color && environment.stdout_is_terminal),
            curses: decide(options.curses, terminal),
            progress: options.show_progress,
        }
    }
}
