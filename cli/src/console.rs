//! The console: messages on stderr, and below them lines that are redrawn in place.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::command_error::CommandError;
use crate::display::Display;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is wrong and rbz will fail.
    Error,
    /// Something may be wrong.
    Warning,
    /// Something the user wants to know.
    Info,
    /// A test that failed.
    Fail,
}

impl Severity {
    fn label(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
            Severity::Info => "INFO",
            Severity::Fail => "FAIL",
        }
    }

    fn style(self) -> Style {
        let color = match self {
            Severity::Error | Severity::Fail => AnsiColor::Red,
            Severity::Warning => AnsiColor::Magenta,
            Severity::Info => AnsiColor::Green,
        };
        color.on_default().bold()
    }
}

/// The columns and lines assumed where the terminal does not tell its own.
const DEFAULT_SIZE: (usize, usize) = (80, 24);

/// Writes to stderr. A failure to write there is ignored: there is nobody left to tell.
#[derive(Debug)]
pub struct Console {
    display: Display,
    /// How many lines below the messages are drawn now.
    drawn: usize,
}

impl Console {
    /// A console on which nothing was drawn yet.
    pub fn new(display: Display) -> Console {
        Console { display, drawn: 0 }
    }

    /// The console, with nothing drawn left in its place.
    pub fn take(&mut self) -> Console {
        let drawn = std::mem::take(&mut self.drawn);
        Console { display: self.display, drawn }
    }

    /// How it shows messages.
    pub fn display(&self) -> Display {
        self.display
    }

    /// `text` in `style`, if there are colours.
    fn paint(&self, style: Style, text: &str) -> String {
        paint(self.display.color, style, text)
    }

    /// Shows a message.
    pub fn message(&mut self, severity: Severity, text: &str) {
        let label = self.paint(severity.style(), &format!("{}:", severity.label()));
        self.print(&format!("{label} {text}\n"));
    }

    /// Shows a text as it is. Lines that are drawn move below it.
    pub fn print(&mut self, text: &str) {
        self.print_bytes(text.as_bytes());
    }

    /// Shows what a process wrote, as it is; a line end is added when it has none.
    pub fn print_bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut out = self.erasure().into_bytes();
        self.drawn = 0;
        out.extend_from_slice(bytes);
        if !bytes.ends_with(b"\n") {
            out.push(b'\n');
        }
        write(&out);
    }

    /// Draws `lines` in the place of those drawn before, in one write so that nothing flickers.
    /// They must fit into the width.
    pub fn draw(&mut self, lines: &[String]) {
        let mut out = self.erasure();
        for line in lines {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{line}");
        }
        self.drawn = lines.len();
        write(out.as_bytes());
    }

    /// Removes the drawn lines.
    pub fn clear(&mut self) {
        self.draw(&[]);
    }

    fn erasure(&self) -> String {
        match self.drawn {
            0 => String::new(),
            drawn => format!("\x1b[{drawn}A\r\x1b[J"),
        }
    }

    /// The columns and lines of the terminal.
    pub fn size(&self) -> (usize, usize) {
        match terminal_size::terminal_size_of(io::stderr()) {
            Some((terminal_size::Width(columns), terminal_size::Height(lines))) => {
                (columns.into(), lines.into())
            }
            None => DEFAULT_SIZE,
        }
    }
}

/// `text` in `style`, if there are colours.
pub fn paint(color: bool, style: Style, text: &str) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

fn write(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

/// Writes data to stdout. A reader that went away is no error; any other failure is.
pub fn write_data(text: &str) -> Result<(), CommandError> {
    write_bytes(text.as_bytes())
}

/// Writes data that may be no text to stdout, in the same way.
pub fn write_bytes(bytes: &[u8]) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| {
            CommandError::environment(format!("cannot write to the standard output: {error}"))
        }),
    }
}
