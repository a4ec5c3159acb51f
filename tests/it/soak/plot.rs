//! Figures over the hours, as pictures.

use std::path::Path;

use plotters::prelude::*;

use super::judge::Hour;

const SIZE: (u32, u32) = (900, 420);
const COLOURS: [RGBColor; 4] = [BLUE, RED, GREEN, MAGENTA];

type Figure = fn(&Hour) -> u64;

/// A picture: its file, title, unit, and the lines in it.
type Picture = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, Figure)],
);

const PICTURES: [Picture; 6] = [
    (
        "memory",
        "Memory",
        "KiB",
        &[
            ("resident", |hour| hour.rss_kib),
            ("proportional", |hour| hour.pss_kib),
        ],
    ),
    (
        "handles",
        "Open handles and threads",
        "count",
        &[
            ("files", |hour| hour.files),
            ("sockets", |hour| hour.sockets),
            ("others", |hour| hour.others),
            ("threads", |hour| hour.threads),
        ],
    ),
    (
        "latency",
        "Sales as they come",
        "microseconds",
        &[
            ("half are faster than", |hour| hour.p50_us),
            ("99 % are", |hour| hour.p99_us),
        ],
    ),
    (
        "probe",
        "The same basket, one after the other",
        "microseconds",
        &[
            ("half are faster than", |hour| hour.probe_p50_us),
            ("99 % are", |hour| hour.probe_p99_us),
        ],
    ),
    (
        "queue",
        "Waiting for FDMS",
        "messages, seconds",
        &[
            ("messages", |hour| hour.queue),
            ("age of the oldest", |hour| hour.queue_age_s),
        ],
    ),
    (
        "files",
        "Ledger and its log",
        "KiB",
        &[
            ("ledger", |hour| hour.ledger_kib),
            ("log", |hour| hour.wal_kib),
        ],
    ),
];

/// Draws all pictures of a run into a folder.
pub(super) fn draw(hours: &[Hour], folder: &Path) {
    for picture in &PICTURES {
        let path = folder.join(format!("{}.svg", picture.0));
        chart(hours, picture, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn chart(hours: &[Hour], picture: &Picture, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let (_, title, unit, lines) = *picture;
    let all = lines.iter().flat_map(|(_, of)| hours.iter().map(of));
    // Some room above the highest.
    let top = all.max().unwrap_or(0) * 11 / 10 + 1;
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d(1..hours.len().max(2), 0..top)?;
    chart
        .configure_mesh()
        .x_desc("end of simulated hour")
        .y_desc(unit)
        .draw()?;
    for ((name, of), colour) in lines.iter().zip(COLOURS) {
        let points = (1..).zip(hours.iter().map(of));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each picture has its title, unit, legend, and a line for each figure; also where all is 0.
    #[test]
    fn pictures_tell_what_they_show() {
        let dir = tempfile::tempdir().unwrap();
        let rising = (0..24).map(|hour| Hour {
            rss_kib: 30_000 + hour * 100,
            ..Hour::default()
        });
        draw(&rising.collect::<Vec<_>>(), dir.path());
        for (file, title, unit, lines) in PICTURES {
            let path = dir.path().join(format!("{file}.svg"));
            let text = std::fs::read_to_string(path).unwrap();
            assert!(
                text.starts_with("<svg") && text.trim_end().ends_with("</svg>"),
                "{file}"
            );
            for word in [title, unit]
                .into_iter()
                .chain(lines.iter().map(|(name, _)| *name))
            {
                assert!(text.contains(word), "{file}: no {word}");
            }
            // One in the picture and one in the legend.
            for colour in ["#0000FF", "#FF0000", "#00FF00", "#FF00FF"]
                .iter()
                .take(lines.len())
            {
                let drawn = text.matches("<polyline").count();
                assert!(
                    drawn >= 2 * lines.len() && text.contains(colour),
                    "{file}: {colour}"
                );
            }
        }
    }
}
