//! A row of a task.

/// What a sentence or a pair of them is labelled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Label {
    Class(usize),
    /// In [0, 5].
    Score(f32),
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// One sentence or two, in the order of the task's columns.
    pub texts: Vec<String>,
    pub label: Label,
}

pub(super) fn single(text: String, class: usize) -> Example {
    Example { texts: vec![text], label: Label::Class(class) }
}

pub(super) fn pair(first: String, second: String, class: usize) -> Example {
    Example { texts: vec![first, second], label: Label::Class(class) }
}
