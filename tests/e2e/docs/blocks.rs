//! The documents, taken apart.

use std::collections::BTreeMap;
use std::path::Path;

/// A document.
pub struct Page {
    /// From the root of the repository.
    pub path: String,
    text: String,
}

/// A fenced block.
pub struct Block {
    page: String,
    line: usize,
    pub language: String,
    /// What the HTML comments right before it say.
    notes: BTreeMap<String, String>,
    pub text: String,
}

/// README and its like, and everything under `docs`.
pub fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(super::root()).expect("the root can be read") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name in UTF-8");
        if name.ends_with(".md") {
            paths.push(name);
        }
    }
    collect(Path::new("docs"), &mut paths);
    paths.sort();
    paths.into_iter().map(|path| Page { text: super::read(&path), path }).collect()
}

fn collect(folder: &Path, paths: &mut Vec<String>) {
    for entry in std::fs::read_dir(super::root().join(folder)).expect("a folder of documents") {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path.to_str().expect("a path in UTF-8").to_owned());
        }
    }
}

impl Page {
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut notes = BTreeMap::new();
        let mut comment: Option<String> = None;
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if comment.is_some() || line.trim_start().starts_with("<!--") {
                let mut text = comment.take().unwrap_or_default() + line + "\n";
                if !line.contains("-->") {
                    comment = Some(text);
                    continue;
                }
                text = text.trim().trim_start_matches("<!--").trim_end_matches("-->").trim().to_owned();
                let (name, value) = text.split_once(':').unwrap_or((&text, ""));
                notes.insert(name.trim().to_owned(), value.trim().to_owned());
            } else if let Some(language) = line.trim_start().strip_prefix("```") {
                let indent = line.len() - line.trim_start().len();
                let mut text = String::new();
                for (_, line) in lines.by_ref().take_while(|(_, line)| line.trim() != "```") {
                    text += line.get(indent..).unwrap_or_default();
                    text.push('\n');
                }
                let (page, language) = (self.path.clone(), language.trim().to_owned());
                blocks.push(Block { page, line: number + 1, language, notes: std::mem::take(&mut notes), text });
            } else if !line.trim().is_empty() {
                notes.clear();
            }
        }
        blocks
    }

    /// What stands between single backticks outside of blocks.
    pub fn inline_code(&self) -> Vec<String> {
        self.prose().flat_map(|(_, line)| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
    }

    /// Targets of links and pictures, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let targets = |(number, line): (usize, &str)| {
            let parts = line.split("](").skip(1).filter_map(|part| part.split(')').next());
            parts.map(|target| (number, target.to_owned())).collect::<Vec<_>>()
        };
        self.prose().flat_map(targets).collect()
    }

    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        self.text.lines().enumerate().filter_map(move |(number, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            (!is_code && !is_fence).then_some((number + 1, line))
        })
    }
}

impl Block {
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.get(name).map(String::as_str)
    }

    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}
