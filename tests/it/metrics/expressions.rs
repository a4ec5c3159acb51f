//! What alerts and dashboard ask for, read as Prometheus reads it and held against what a gateway serves: an expression
//! that asks for a label or a value that is never there is silent for ever.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{AggregateExpr, Expr, LabelModifier, VectorSelector, parse};

/// Of each metric the labels, of each label the values.
pub(super) type Served = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Labels that Prometheus gives to everything it hears.
const ADDED: [&str; 2] = ["instance", "job"];

/// What is in an answer of `/metrics`.
pub(super) fn served(text: &str) -> Served {
    let mut served = Served::new();
    // What Prometheus itself says of whom it asks.
    served.insert("up".to_owned(), BTreeMap::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let Ok(Expr::VectorSelector(series)) = parse(series) else {
            panic!("{line} is no series");
        };
        let labels = served.entry(series.name.unwrap()).or_default();
        for Matcher { name, value, .. } in series.matchers.matchers {
            labels.entry(name).or_default().insert(value);
        }
    }
    served
}

/// What is wrong with an expression, and with words that name labels of what comes out of it.
pub(super) fn faults(expr: &str, words: &str, served: &Served) -> Vec<String> {
    let mut wrong = Vec::new();
    match parse(expr) {
        Ok(parsed) => {
            let labels = labels(&parsed, served, &mut wrong);
            let named = named(words).into_iter();
            let unknown = named.filter(|name| !labels.contains(name));
            wrong.extend(unknown.map(|name| format!("{{{{{name}}}}} has no value")));
        }
        Err(error) => wrong.push(error),
    }
    wrong
}

/// The labels in `{{ $labels.till }}`, and in `{{till}}` as a dashboard writes it.
fn named(words: &str) -> Vec<String> {
    let braced = words.split("{{").skip(1);
    let inner = braced.filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
    let labels = inner.filter(|inner| *inner != "$value");
    labels
        .map(|inner| inner.trim_start_matches("$labels.").to_owned())
        .collect()
}

/// The labels of what comes out of an expression.
fn labels(expr: &Expr, served: &Served, wrong: &mut Vec<String>) -> BTreeSet<String> {
    match expr {
        Expr::VectorSelector(series) => of_series(series, served, wrong),
        Expr::MatrixSelector(range) => of_series(&range.vs, served, wrong),
        Expr::Aggregate(group) => of_group(group, served, wrong),
        Expr::Unary(of) => labels(&of.expr, served, wrong),
        Expr::Paren(of) => labels(&of.expr, served, wrong),
        Expr::Subquery(of) => labels(&of.expr, served, wrong),
        Expr::Binary(both) => {
            let left = labels(&both.lhs, served, wrong);
            let right = labels(&both.rhs, served, wrong);
            // A number has none.
            match (left.is_empty(), right.is_empty()) {
                (true, _) => right,
                (_, true) => left,
                _ => &left & &right,
            }
        }
        Expr::Call(call) => {
            let inner = call.args.args.iter();
            inner
                .flat_map(|inner| labels(inner, served, wrong))
                .collect()
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => BTreeSet::new(),
    }
}

fn of_series(
    series: &VectorSelector,
    served: &Served,
    wrong: &mut Vec<String>,
) -> BTreeSet<String> {
    let name = series.name.clone().unwrap_or_default();
    let Some(known) = served.get(&name) else {
        wrong.push(format!("\"{name}\" is not served"));
        return BTreeSet::new();
    };
    for matcher in &series.matchers.matchers {
        if ADDED.contains(&matcher.name.as_str()) {
            continue;
        }
        match known.get(&matcher.name) {
            None => wrong.push(format!("{name} has no label {}", matcher.name)),
            Some(values) if !values.iter().any(|value| is_meant(matcher, value)) => {
                wrong.push(format!("{name} never has {matcher}"));
            }
            Some(_) => {}
        }
    }
    let added = ADDED.iter().map(|label| (*label).to_owned());
    known.keys().cloned().chain(added).collect()
}

/// Whether a matcher takes this value, or leaves it out.
fn is_meant(matcher: &Matcher, value: &str) -> bool {
    match &matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => matcher.value == value,
        MatchOp::Re(text) | MatchOp::NotRe(text) => text.is_match(value),
    }
}

fn of_group(group: &AggregateExpr, served: &Served, wrong: &mut Vec<String>) -> BTreeSet<String> {
    let inner = labels(&group.expr, served, wrong);
    let Some(modifier) = &group.modifier else {
        return BTreeSet::new();
    };
    let (LabelModifier::Include(named) | LabelModifier::Exclude(named)) = modifier;
    let named: BTreeSet<String> = named.labels.iter().cloned().collect();
    let unknown = named.difference(&inner);
    wrong.extend(unknown.map(|label| format!("nothing has the label {label} to group by")));
    match modifier {
        LabelModifier::Include(_) => named,
        LabelModifier::Exclude(_) => &inner - &named,
    }
}

/// What would be silent for ever is found.
#[test]
fn silent_expressions_are_found() {
    let served = served(
        "# TYPE sales_total counter\nsales_total{outcome=\"failed\"} 0\nsales_total{outcome=\"issued\"} 3\n\
         age_seconds{till=\"7\"} 12\nfree_bytes 5\n",
    );
    for (expr, words) in [
        ("increase(sales_total{outcome=\"failed\"}[5m]) > 0", ""),
        ("sum by (outcome) (rate(sales_total[5m]))", "{{outcome}}"),
        ("up{job=\"fiscald\"} == 0", "{{ $labels.instance }}"),
        (
            "free_bytes < 5 or age_seconds > 9",
            "{{ $labels.instance }} {{ $value }}",
        ),
        ("max(age_seconds{instance=~\"$store\"})", ""),
        ("age_seconds{till!=\"7\"}", "{{till}}"),
    ] {
        assert_eq!(faults(expr, words, &served), [""; 0], "{expr}");
    }
    for (expr, words, expected) in [
        ("sales_total{outcome=\"faild\"}", "", "never has outcome"),
        ("sales_total{outcome=~\"fail\"}", "", "never has outcome"),
        ("sales_total{outcome!=\"faild\"}", "", "never has outcome"),
        ("sales_total{result=\"failed\"}", "", "no label result"),
        ("sale_total > 0", "", "not served"),
        ("free_bytes < 5 or sale_total > 0", "", "not served"),
        (
            "sum by (outcom) (rate(sales_total[5m]))",
            "",
            "label outcom ",
        ),
        ("sum without (till) (sales_total)", "", "label till "),
        (
            "age_seconds",
            "{{ $labels.printer }}",
            "{{printer}} has no value",
        ),
        ("sum(age_seconds)", "{{till}}", "{{till}} has no value"),
        (
            "free_bytes < 5 or age_seconds > 9",
            "{{till}}",
            "{{till}} has no value",
        ),
    ] {
        let found = faults(expr, words, &served);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{expr}: {found:?}"
        );
    }
    for broken in [
        "increase(sales_total{outcome=\"failed\"}[5m] > 0",
        "rate(sales_total)",
        "increse(sales_total[5m])",
        "sales_total{outcome=failed}",
        "age_seconds > ",
    ] {
        assert_eq!(faults(broken, "", &served).len(), 1, "{broken}");
    }
}
