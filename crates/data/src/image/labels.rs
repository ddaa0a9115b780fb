//! Labels as they are written, and the classes they stand for.

use std::collections::HashMap;

use crate::{Error, Place, Result};

/// The classes that labels are looked up in.
#[derive(Debug)]
pub(super) enum Labels {
    /// Those of a configuration or of a model.
    Known {
        /// Their names, in order.
        names: Vec<String>,
        /// Whether a label may be the number of its class.
        numbers: bool,
    },
    /// Those that turn up, in the order in which they do.
    Learnt {
        names: Vec<String>,
        indices: HashMap<String, u32>,
    },
}

impl Labels {
    pub(super) fn learnt() -> Self {
        Self::Learnt {
            names: Vec::new(),
            indices: HashMap::new(),
        }
    }

    /// The class of `label`.
    ///
    /// # Errors
    ///
    /// If the classes are known, and it is none of them.
    pub(super) fn class(&mut self, label: &str, at: &Place) -> Result<u32> {
        match self {
            Self::Known { names, numbers } => {
                let named = names.iter().position(|name| name == label);
                let number = || label.parse::<usize>().ok().filter(|&n| n < names.len());
                let class = named.or_else(|| number().filter(|_| *numbers));
                class
                    .map(|class| class as u32)
                    .ok_or_else(|| Error::UnknownLabel {
                        at: at.clone(),
                        label: label.to_string(),
                        labels: names.clone(),
                    })
            }
            Self::Learnt { names, indices } => {
                if let Some(&class) = indices.get(label) {
                    return Ok(class);
                }
                let class = names.len() as u32;
                names.push(label.to_string());
                indices.insert(label.to_string(), class);
                Ok(class)
            }
        }
    }

    /// The names of the classes in order, and for each class so far, which it is there:
    /// learnt ones are sorted, as numbers if all of them are.
    pub(super) fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let names = match self {
            Self::Known { names, .. } => {
                let order = (0..names.len() as u32).collect();
                return (names, order);
            }
            Self::Learnt { names, .. } => names,
        };
        let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        match numbers {
            Some(numbers) => order.sort_by_key(|&i| numbers[i]),
            None => order.sort_by(|&a, &b| names[a].cmp(&names[b])),
        }
        let mut places = vec![0; names.len()];
        for (place, &class) in order.iter().enumerate() {
            places[class] = place as u32;
        }
        (
            order.into_iter().map(|i| names[i].clone()).collect(),
            places,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(labels: &[&str]) -> Result<(Vec<String>, Vec<u32>)> {
        let (mut learnt, at) = (Labels::learnt(), Place::file("a"));
        for label in labels {
            learnt.class(label, &at)?;
        }
        Ok(learnt.sorted())
    }

    #[test]
    fn learnt_classes_are_sorted_numbers_by_their_value() -> Result<()> {
        let (names, places) = learn(&["10", "9", "2", "9"])?;
        assert_eq!(names, ["2", "9", "10"]);
        assert_eq!(places, [2, 1, 0]);
        let (names, _) = learn(&["10", "9", "cat"])?;
        assert_eq!(names, ["10", "9", "cat"]);
        Ok(())
    }

    #[test]
    fn known_classes_are_named_or_numbered_and_nothing_else() -> Result<()> {
        let names = vec!["cat".to_string(), "dog".to_string()];
        let at = Place::line("a.csv", 7);
        let mut known = Labels::Known {
            names: names.clone(),
            numbers: true,
        };
        assert_eq!(known.class("dog", &at)?, 1);
        assert_eq!(known.class("0", &at)?, 0);
        for label in ["2", "-1", "cow", ""] {
            let said = known.class(label, &at).expect_err("refused").to_string();
            assert!(said.starts_with("a.csv:7: label `"), "{said}");
        }
        let mut named = Labels::Known {
            names,
            numbers: false,
        };
        assert!(named.class("0", &at).is_err());
        Ok(())
    }
}
