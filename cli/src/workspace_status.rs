//! The status of the workspace: what rbz itself knows of it, and the command that knows more.

use std::time::{SystemTime, UNIX_EPOCH};

use rbz_engine::workspace_status::WorkspaceStatus;

use crate::environment::Environment;

/// The status of a build with these options that begins now.
pub fn workspace_status(
    command: Option<&str>,
    embed_label: &str,
    environment: &Environment,
) -> WorkspaceStatus {
    let variable = |name: &str| environment.variables.get(name);
    let user = variable("USER").or_else(|| variable("LOGNAME")).cloned();
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    // Who makes a build at another time come out the same says which time it is.
    let seconds = variable("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds: u64 = seconds.unwrap_or_else(now);
    let facts = [
        ("BUILD_EMBED_LABEL", embed_label.to_owned()),
        ("BUILD_HOST", host.unwrap_or_default()),
        ("BUILD_USER", user.unwrap_or_default()),
        ("BUILD_TIMESTAMP", seconds.to_string()),
        ("FORMATTED_DATE", formatted(seconds)),
    ];
    WorkspaceStatus {
        facts: facts.map(|(key, value)| (key.to_owned(), value)).into(),
        command: command.map(str::to_owned).filter(|command| !command.is_empty()),
        environment: environment.variables.clone(),
    }
}

/// The months with their lengths, but for leap years.
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];

/// A time in UTC in Bazel's form: `2023 Jun 2 01 44 29 Fri`.
fn formatted(seconds: u64) -> String {
    // The first day was a Thursday.
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let weekday = WEEKDAYS.iter().cycle().nth((days % 7) as usize).unwrap_or(&"");
    let (year, month, day) = date(days);
    let month = MONTHS[month - 1].0;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year} {month} {day} {hour:02} {minute:02} {:02} {weekday}", second % 60)
}

/// Year, month and day, the latter two from 1, of the day that comes so many days after 1 January 1970.
pub fn date(days: u64) -> (u64, usize, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970 + days / DAYS_IN_400_YEARS * 400;
    let mut day = days % DAYS_IN_400_YEARS;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    for (name, length) in MONTHS {
        let length = length + u64::from(name == "Feb" && is_leap(year));
        month += 1;
        if day < length {
            break;
        }
        day -= length;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970 Jan 1 00 00 00 Thu"),
            (951_782_400, "2000 Feb 29 00 00 00 Tue"),
            (1_685_670_269, "2023 Jun 2 01 44 29 Fri"),
            (1_704_067_199, "2023 Dec 31 23 59 59 Sun"),
            (4_107_542_400, "2100 Mar 1 00 00 00 Mon"),
        ] {
            assert_eq!(formatted(seconds), expected);
        }
    }
}
