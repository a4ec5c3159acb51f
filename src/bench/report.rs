//! What a measurement tells: its figures, and what they must come up to. One that is missed ends the command with 1.
//!
//! docs/BENCHMARKS.md has a row for each demand; a test holds the two together.

use std::fmt;
use std::process::ExitCode;

use clock::{Clock as _, SystemClock};
use serde::Serialize;

/// Figures of a measurement.
pub(super) trait Report: Serialize + Default {
    /// The command, without `fiscald`.
    const COMMAND: &'static str;

    /// Shows the figures to a person.
    fn print(&self);

    /// What they must come up to.
    fn demands(&self) -> Vec<Demand>;
}

/// What a figure must come up to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Demand {
    /// The figure, by its name in the JSON.
    pub(super) figure: &'static str,
    /// What it is; none where it was not measured.
    pub(super) is: Option<f64>,
    #[serde(flatten)]
    pub(super) bound: Bound,
}

/// How large or small it must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
        }
    }
}

impl Demand {
    pub(super) fn at_most(figure: &'static str, is: impl Into<Option<f64>>, most: f64) -> Self {
        Self {
            figure,
            is: is.into(),
            bound: Bound::AtMost(most),
        }
    }

    pub(super) fn at_least(figure: &'static str, is: impl Into<Option<f64>>, least: f64) -> Self {
        Self {
            figure,
            is: is.into(),
            bound: Bound::AtLeast(least),
        }
    }

    /// What is no number is missed too.
    fn is_missed(&self) -> bool {
        match (self.is, self.bound) {
            (None, _) => false,
            (Some(is), Bound::AtMost(most)) => !is.le(&most),
            (Some(is), Bound::AtLeast(least)) => !is.ge(&least),
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { figure, bound, .. } = self;
        match self.is {
            None => write!(f, "not measured  {figure}: {bound}"),
            Some(is) if self.is_missed() => write!(f, "MISSED        {figure}: {is:.3}, {bound}"),
            Some(is) => write!(f, "held          {figure}: {is:.3}, {bound}"),
        }
    }
}

/// A report as JSON: what a script needs to fill docs/BENCHMARKS.md.
#[derive(Serialize)]
struct Told<'a, R> {
    command: &'static str,
    version: &'static str,
    optimised: bool,
    at: String,
    cores: usize,
    #[serde(flatten)]
    figures: &'a R,
    demands: &'a [Demand],
}

/// Tells a report; the end of the command: 1 if a demand is missed.
pub(super) fn tell<R: Report>(report: &R, json: bool) -> anyhow::Result<ExitCode> {
    let demands = report.demands();
    let optimised = !cfg!(debug_assertions);
    if json {
        let told = Told {
            command: R::COMMAND,
            version: env!("CARGO_PKG_VERSION"),
            optimised,
            at: SystemClock.wall().to_string(),
            cores: cores(),
            figures: report,
            demands: &demands,
        };
        println!("{}", serde_json::to_string(&told)?);
    } else {
        report.print();
        for demand in &demands {
            println!("{demand}");
        }
        if !optimised {
            println!("This build is not optimised: its figures say nothing of the product.");
        }
    }
    Ok(match demands.iter().any(Demand::is_missed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Processor cores.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound itself is held, what is beyond it is missed, and so is what is no number.
    #[test]
    fn demands_can_be_missed() {
        let missed = |is: f64| {
            let demands = [
                Demand::at_most("a", is, 50.0),
                Demand::at_least("b", is, 0.25),
            ];
            demands.map(|demand| demand.is_missed())
        };
        assert_eq!(missed(50.0), [false, false]);
        assert_eq!(missed(50.1), [true, false]);
        assert_eq!(missed(0.2), [false, true]);
        assert_eq!(missed(f64::NAN), [true, true]);
        let unknown = Demand::at_most("a", None::<f64>, 1.0);
        assert!(!unknown.is_missed() && unknown.to_string().starts_with("not measured"));
    }

    /// The rows of a command in the document: figure and demand.
    fn rows(page: &str, command: &str) -> Vec<[String; 2]> {
        let head = format!("## `fiscald {command}`");
        let mut section = page.lines().skip_while(|line| *line != head).skip(1);
        let rows = section.by_ref().take_while(|line| !line.starts_with("## "));
        let cells = rows.filter_map(|line| line.strip_prefix("| `"));
        let row = |line: &str| {
            let (figure, rest) = line.split_once("` | ")?;
            let demand = rest.split(" | ").nth(1)?;
            Some([figure.to_owned(), demand.to_owned()])
        };
        cells.filter_map(row).collect()
    }

    fn check<R: Report>(page: &str) {
        let rows = rows(page, R::COMMAND);
        let figures = serde_json::to_value(R::default()).unwrap();
        let named = |[figure, _]: &&[String; 2]| figures.get(figure.as_str()).is_none();
        let unknown: Vec<_> = rows.iter().filter(named).collect();
        assert!(
            unknown.is_empty(),
            "`fiscald {}` has no such figures: {unknown:?}",
            R::COMMAND
        );
        let demanded = |demand: &Demand| [demand.figure.to_owned(), demand.bound.to_string()];
        let code: Vec<_> = R::default().demands().iter().map(demanded).collect();
        let told: Vec<_> = rows
            .into_iter()
            .filter(|[_, demand]| demand != "none")
            .collect();
        assert_eq!(told, code, "docs/BENCHMARKS.md, fiscald {}", R::COMMAND);
    }

    /// The document tells every demand as the code makes it, and no figure that is not there.
    #[test]
    fn the_document_tells_them() {
        let page = include_str!("../../docs/BENCHMARKS.md");
        check::<crate::bench::BenchReport>(page);
        check::<crate::bench::footprint::Footprint>(page);
        check::<crate::bench::drain::Drained>(page);
        check::<crate::bench::copies::Copies>(page);
        check::<crate::bench::years::Years>(page);
        check::<crate::bench::print::Printed>(page);
    }
}
