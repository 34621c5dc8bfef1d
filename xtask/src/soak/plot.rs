//! What was seen over time, as a picture.

use std::path::Path;

use plotters::prelude::*;

use super::sample::Row;
use crate::failure::Failure;

const SIZE: (u32, u32) = (1100, 1000);

/// Panels with lines that share a scale.
const PANELS: [(&str, &[&str]); 4] = [
    ("memory, MiB", &["client RSS", "emulator RSS", "wasm memory", "JavaScript heap"]),
    ("open files, tasks, handles", &["client's open files", "emulator's open files", "tasks", "handles"]),
    ("events a second", &["sent", "received"]),
    ("connections made", &["connections made"]),
];

/// Draws the rows as SVG.
pub fn draw(path: &Path, name: &str, rows: &[Row]) -> Result<(), Failure> {
    try_draw(path, name, rows)
        .map_err(|error| Failure::new(format!("cannot draw {}: {error}", path.display())))
}

fn try_draw(path: &Path, name: &str, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let last = rows.last().map_or(1.0, |row| row.seconds / 60.0);
    for (panel, (title, lines)) in area.split_evenly((PANELS.len(), 1)).iter().zip(PANELS) {
        let drawn: Vec<(&str, Vec<(f64, f64)>)> = Row::COLUMNS
            .iter()
            .filter(|(what, ..)| lines.contains(what))
            .map(|(what, of, unit, _)| {
                let scale = if *unit == "KiB" { 1024.0 } else { 1.0 };
                (*what, rows.iter().map(|row| (row.seconds / 60.0, of(row) / scale)).collect::<Vec<_>>())
            })
            .filter(|(_, points)| points.iter().any(|(_, value)| *value != 0.0))
            .collect();
        let most = drawn.iter().flat_map(|(_, points)| points).map(|(_, value)| *value).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(panel)
            .caption(format!("{name}: {title}"), ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(26)
            .y_label_area_size(60)
            // Behind the last minute there is room for the names of the lines.
            .build_cartesian_2d(0.0..last * 1.22, 0.0..most * 1.1)?;
        chart.configure_mesh().x_desc("minutes").draw()?;
        for (index, (what, points)) in drawn.into_iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            chart
                .draw_series(LineSeries::new(points, color))?
                .label(what)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
        }
        let labels = SeriesLabelPosition::UpperRight;
        chart
            .configure_series_labels()
            .position(labels)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
    }
    area.present()?;
    Ok(())
}
