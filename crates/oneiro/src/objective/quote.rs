//! Puts names in expressions in quotes where necessary.

/// Returns a name, in quotes if it needs them.
pub(super) fn quote(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.contains([',', '(', ')', '"', ':', '+', '*', '=', '[', ']'])
        && !name.contains(char::is_whitespace);
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}
