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

#[cfg(test)]
mod tests {
    use super::*;

    fn display(variables: &[(&str, &str)], color: When, curses: When) -> Display {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let environment = Environment {
            arguments: vec![],
            current_directory: None,
            home: None,
            variables: variables.collect(),
            stdout_is_terminal: false,
            stderr_is_terminal: true,
        };
        let options = DisplayOptions {
            color,
            curses,
            show_progress: true,
            announce_rc: false,
            config: vec![],
        };
        Display::new(&options, &environment)
    }

    #[test]
    fn the_terminal_decides_unless_an_option_does() {
        let of = |variables: &[(&str, &str)], color, curses| {
            let display = display(variables, color, curses);
            (display.color, display.data_color, display.curses)
        };
        let (auto, yes, no) = (When::Auto, When::Yes, When::No);
        assert_eq!(of(&[("TERM", "xterm")], auto, auto), (true, false, true));
        assert_eq!(of(&[("TERM", "dumb")], auto, auto), (false, false, false));
        assert_eq!(of(&[], auto, auto), (false, false, false));
        let without_color = [("TERM", "xterm"), ("NO_COLOR", "1")];
        assert_eq!(of(&without_color, auto, auto), (false, false, true));
        assert_eq!(of(&without_color, yes, no), (true, true, false));
        assert_eq!(of(&[("TERM", "dumb")], no, yes), (false, false, true));
    }
}
