//! What to say about a name that is not one of those there are.

use strsim::damerau_levenshtein;

/// `did you mean ...?`, or the list of what there is.
pub(crate) fn known(given: &str, there_are: &[String], what: &str) -> String {
    let given = given.to_lowercase();
    let near = there_are
        .iter()
        .find(|name| damerau_levenshtein(&name.to_lowercase(), &given) <= 2);
    if let Some(near) = near {
        return format!("did you mean `{near}`?");
    }
    const SHOWN: usize = 12;
    let names: Vec<_> = there_are
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if there_are.len() > SHOWN { ", ..." } else { "" };
    format!("the {what} are {}{more}", names.join(", "))
}
