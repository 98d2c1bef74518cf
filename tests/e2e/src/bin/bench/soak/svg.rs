//! A plot as SVG: panels above each other over one time axis, each with its own scale from zero.

use std::fmt::Write as _;

use crate::numbers::readable;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 60.0;
const HEIGHT: f64 = 110.0;
const GAP: f64 = 50.0;
const COLOURS: [&str; 2] = ["#1f6f8b", "#d1603d"];

/// One line of a panel.
pub struct Series {
    pub name: &'static str,
    /// By x, ascending.
    pub points: Vec<(f64, f64)>,
}

/// Lines that share a scale.
pub struct Panel {
    pub title: &'static str,
    pub series: Vec<Series>,
}

/// The whole document.
pub fn plot(title: &str, x_title: &str, panels: &[Panel]) -> String {
    let height = TOP + panels.len() as f64 * (HEIGHT + GAP);
    let points = panels
        .iter()
        .flat_map(|panel| &panel.series)
        .flat_map(|series| &series.points);
    let last = points.fold(0.0_f64, |most, (x, _)| most.max(*x));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut svg, (LEFT, 25.0), "start", &format!("{title} ({x_title})"));
    for (number, panel) in panels.iter().enumerate() {
        let frame = Frame {
            top: TOP + number as f64 * (HEIGHT + GAP),
            x: if last > 0.0 { last } else { 1.0 },
            y: nice(greatest(panel)),
        };
        frame.draw(&mut svg, panel);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A panel's place and the ends of its axes.
struct Frame {
    top: f64,
    x: f64,
    y: f64,
}

impl Frame {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + x / self.x * (WIDTH - LEFT - RIGHT),
            self.top + HEIGHT - y / self.y * HEIGHT,
        )
    }

    fn draw(&self, svg: &mut String, panel: &Panel) {
        text(svg, (LEFT, self.top - 8.0), "start", panel.title);
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let (left, y) = self.place((0.0, share * self.y));
            let (right, _) = self.place((self.x, 0.0));
            put(
                svg,
                format_args!("<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"#ddd\"/>"),
            );
            text(svg, (left - 6.0, y + 4.0), "end", &readable(share * self.y));
            let (x, bottom) = self.place((share * self.x, 0.0));
            text(svg, (x, bottom + 16.0), "middle", &readable(share * self.x));
        }
        for (number, series) in panel.series.iter().enumerate() {
            self.line(svg, series, COLOURS[number % COLOURS.len()], number);
        }
    }

    fn line(&self, svg: &mut String, series: &Series, colour: &str, number: usize) {
        let corner = |(number, point): (usize, &(f64, f64))| {
            let (x, y) = self.place(*point);
            format!("{}{x:.1} {y:.1}", if number == 0 { "M" } else { "L" })
        };
        let path: String = series.points.iter().enumerate().map(corner).collect();
        put(
            svg,
            format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"),
        );
        let y = self.top + 14.0 + 16.0 * number as f64;
        put(
            svg,
            format_args!(
                "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{}</text>",
                WIDTH - RIGHT + 10.0,
                series.name
            ),
        );
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    put(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"),
    );
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(svg, "{what}").expect("a string takes every line");
}

fn greatest(panel: &Panel) -> f64 {
    let points = panel.series.iter().flat_map(|series| &series.points);
    points.fold(0.0_f64, |most, (_, y)| most.max(*y))
}

/// The next of 1, 2, 2.5, 4, 5 times a power of ten: quarters of it are short numbers.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 4.0, 5.0, 10.0];
    let step = steps.iter().find(|step| **step * power >= value * 0.999_999);
    step.copied().unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_short_numbers() {
        for (value, end) in [
            (0.0, 1.0),
            (10.0, 10.0),
            (5_032.0, 10_000.0),
            (0.31, 0.4),
            (230.0, 250.0),
        ] {
            assert!((nice(value) - end).abs() < 1e-9, "{value}: {}", nice(value));
        }
    }

    #[test]
    fn a_line_goes_from_the_lower_left_to_the_upper_right() {
        let series = vec![Series {
            name: "events",
            points: vec![(0.0, 0.0), (10.0, 100.0)],
        }];
        let svg = plot(
            "a plot",
            "minutes",
            &[Panel {
                title: "a panel",
                series,
            }],
        );
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("d=\"M80.0 170.0L790.0 60.0\""), "{svg}");
        assert!(svg.contains(">events</text>"));
    }
}
