//! `fiscald capture`: what old POS software printed, and the templates that read it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use drivers::capture::learn::learn;
use drivers::capture::template::SHIPPED;
use hyper::Method;
use serde_json::Value;

use super::Done;
use super::client::ask;
use super::terminal::printable;
use super::till::text;
use crate::config::{Config, template};

#[derive(Debug, Subcommand)]
pub(super) enum CaptureCommand {
    /// List what came in at the ports for old POS software, newest first.
    List {
        /// Only of this state: new, passed, sold, repeated, quarantined.
        #[arg(long)]
        state: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show a paper as it would stand on paper, with why it could not be sold.
    Show {
        /// Its number.
        capture: i64,
    },
    /// Show papers with what a template finds on them; without --template, draft a first one.
    ///
    /// Papers are numbers of `fiscald capture list`, or files with the bytes that a POS printed. The report goes to
    /// standard error, a drafted template to standard output.
    Learn {
        /// Numbers or files; several of one kind make a better draft.
        #[arg(required = true, value_name = "NUMBER|FILE")]
        papers: Vec<String>,
        /// The template to try: a file, or the name of a shipped one.
        #[arg(long)]
        template: Option<String>,
        /// Write the bytes of the papers into this folder, to keep them or to send them to somebody.
        #[arg(long, value_name = "FOLDER")]
        keep: Option<PathBuf>,
    },
    /// List the templates that come with the gateway, or print one to begin from.
    Template {
        /// Its name.
        name: Option<String>,
    },
    /// Say that a paper that was put aside will not be sold: it was rung up again, or was no sale.
    Drop {
        /// Its number.
        capture: i64,
        /// Why, for the audit.
        #[arg(long)]
        reason: String,
    },
    /// Read papers again that could not be sold, by the templates as they are now, and sell them.
    Replay {
        /// Their numbers.
        #[arg(required_unless_present = "all")]
        captures: Vec<i64>,
        /// Every paper that is put aside, the oldest first.
        #[arg(long, conflicts_with = "captures")]
        all: bool,
    },
}

pub(super) fn capture(config: &Config, command: &CaptureCommand) -> Done {
    match command {
        CaptureCommand::List { state, limit } => {
            let of = state
                .as_ref()
                .map(|state| format!("&state={state}"))
                .unwrap_or_default();
            let answer = get(config, &format!("/v1/captures?limit={limit}{of}"))?;
            let rows = captures(&answer);
            for row in &rows {
                show(row);
            }
            if rows.is_empty() {
                println!(
                    "none. A port for old POS software is [[pos]] in the configuration (/usr/share/doc/fiscald/POS.md)"
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        CaptureCommand::Show { capture } => {
            let answer = get(config, &format!("/v1/captures/{capture}"))?;
            show(&answer);
            let lines = answer.get("paper").and_then(Value::as_array);
            for (place, line) in lines.into_iter().flatten().enumerate() {
                let line = printable(line.as_str().unwrap_or_default());
                println!("{:>4} | {line}", place + 1);
            }
            Ok(ExitCode::SUCCESS)
        }
        CaptureCommand::Learn {
            papers,
            template: name,
            keep,
        } => learned(config, papers, name.as_deref(), keep.as_ref()),
        CaptureCommand::Template { name } => {
            print!("{}", templates(name.as_deref())?);
            Ok(ExitCode::SUCCESS)
        }
        CaptureCommand::Drop { capture, reason } => {
            let body = serde_json::json!({ "reason": reason }).to_string();
            let path = format!("/v1/captures/{capture}/drop");
            let text = ask(config, Method::POST, &path, body.into_bytes())?.success()?;
            show(&serde_json::from_str(&text)?);
            Ok(ExitCode::SUCCESS)
        }
        CaptureCommand::Replay { captures, all } => replay(config, captures, *all),
    }
}

/// The shipped templates with what each is for, or the text of one.
fn templates(name: Option<&str>) -> anyhow::Result<String> {
    if let Some(name) = name {
        let found = SHIPPED.iter().find(|(known, _)| *known == name);
        let (_, text) = found.with_context(|| {
            format!(
                "there is no template \"{name}\"; `fiscald capture template` lists those that there are"
            )
        })?;
        return Ok((*text).to_owned());
    }
    let line = |(name, text): &(&str, &str)| {
        let about: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("# "))
            .collect();
        format!("{name:<10}{}\n", about.join(" "))
    };
    Ok(SHIPPED.iter().map(line).collect())
}

fn get(config: &Config, path: &str) -> anyhow::Result<Value> {
    let text = ask(config, Method::GET, path, Vec::new())?.success()?;
    Ok(serde_json::from_str(&text)?)
}

fn captures(answer: &Value) -> Vec<Value> {
    let rows = answer.get("captures").and_then(Value::as_array);
    rows.cloned().unwrap_or_default()
}

fn show(row: &Value) {
    println!(
        "paper {}  {}  {}  {}  receipt {}  template {}",
        text(row, "/capture"),
        text(row, "/port"),
        text(row, "/at"),
        text(row, "/state"),
        text(row, "/receiptGlobalNo"),
        text(row, "/template"),
    );
    let reasons = row.get("reasons").and_then(Value::as_array);
    for reason in reasons.into_iter().flatten() {
        println!("    {}", printable(reason.as_str().unwrap_or_default()));
    }
}

fn learned(config: &Config, papers: &[String], name: Option<&str>, keep: Option<&PathBuf>) -> Done {
    let mut jobs = Vec::new();
    for paper in papers {
        let bytes = match paper.parse::<i64>() {
            Ok(number) => {
                let path = format!("/v1/captures/{number}/raw");
                ask(config, Method::GET, &path, Vec::new())?.document()?
            }
            Err(_) => std::fs::read(paper).with_context(|| format!("{paper} cannot be read"))?,
        };
        if let Some(folder) = keep {
            std::fs::create_dir_all(folder)?;
            let file = folder.join(format!("paper-{}.bin", jobs.len() + 1));
            std::fs::write(&file, &bytes)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        jobs.push(bytes);
    }
    let template = name.map(template).transpose().map_err(anyhow::Error::msg)?;
    let learned = learn(&jobs, template.as_ref());
    eprintln!("{}", printable(learned.report.trim_end()));
    match &learned.draft {
        Some(draft) => {
            print!("{}", printable(draft));
            eprintln!(
                "Keep the draft as a file, complete what it marks, name the file in `templates` of the port, and try it: fiscald capture learn --template FILE {}",
                papers.join(" ")
            );
        }
        None if name.is_none() => eprintln!(
            "These papers do not look like receipts: no total was found. Take papers with a line of goods and a total on them."
        ),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(config: &Config, captures_: &[i64], all: bool) -> Done {
    let mut numbers = captures_.to_vec();
    if all {
        let answer = get(config, "/v1/captures?state=quarantined&limit=500")?;
        numbers = captures(&answer)
            .iter()
            .filter_map(|row| row.get("capture").and_then(Value::as_i64))
            .rev()
            .collect();
    }
    let mut left = 0;
    for number in numbers {
        let path = format!("/v1/captures/{number}/replay");
        let answer = ask(config, Method::POST, &path, Vec::new())?.success()?;
        let row: Value = serde_json::from_str(&answer)?;
        show(&row);
        left += u32::from(text(&row, "/state") == "quarantined");
    }
    if left == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{left} could not be sold; see the reasons, mend the template, and try it with `fiscald capture learn`"
    );
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use drivers::capture::template::Template;

    use super::*;

    /// Each shipped template is listed with what it is for, and is printed so that it can be used as it is.
    #[test]
    fn shipped_templates() {
        let listed = templates(None).unwrap();
        assert_eq!(listed.lines().count(), SHIPPED.len());
        for (line, (name, _)) in listed.lines().zip(SHIPPED) {
            let about = line.strip_prefix(name).unwrap().trim();
            assert!(about.ends_with('.'), "{line}");
            let template = Template::parse(&templates(Some(name)).unwrap()).unwrap();
            assert_eq!(template.name(), name);
        }
        let error = templates(Some("three-line")).unwrap_err().to_string();
        assert!(error.contains("three-line"), "{error}");
    }
}
