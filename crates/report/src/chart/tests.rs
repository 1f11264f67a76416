//! Every kind of chart is well-formed, keeps within its picture, and tells its series apart.

use super::*;

fn series(name: &str) -> Series {
    Series {
        name: name.to_string(),
        ..Series::default()
    }
}

fn axis(scale: Scale, from: f64, to: f64) -> Axis {
    Axis {
        label: "a long label of an axis, with its unit".to_string(),
        scale,
        from,
        to,
        format: |value| format!("{value}"),
    }
}

fn dots(scale: Scale) -> Dots {
    let dot = |series, value| Dot {
        series,
        value,
        interval: Some((value * 0.5, value * 2.0)),
        hint: "a <hint> & more".to_string(),
        ..Dot::default()
    };
    Dots {
        axis: axis(scale, 1.0, 100.0),
        series: vec![series("one <&>"), series("two")],
        rows: vec![
            Row {
                heading: Some("a heading".to_string()),
                label: "first \"row\"".to_string(),
                dots: vec![dot(0, 3.0), dot(1, 1e9)],
            },
            Row {
                label: "a label that is much too long for the place that it has beside a row"
                    .to_string(),
                dots: vec![dot(0, 0.0), dot(1, -5.0)],
                ..Row::default()
            },
        ],
        references: vec![
            Reference {
                from: 99.0,
                to: 100.0,
                label: "a reference at the very end".to_string(),
            },
            Reference {
                from: 10.0,
                to: 10.0,
                label: "x".to_string(),
            },
        ],
        is_dodged: true,
    }
}

fn lines() -> Lines {
    Lines {
        x: axis(Scale::Log, 1.0, 1e5),
        y: axis(Scale::Linear, 0.0, 1.0),
        lines: vec![
            Line {
                series: series("steps"),
                points: vec![(1.0, 0.1), (10.0, 0.5), (1e7, 1.5)],
                part: &CURVE,
                is_stepped: true,
            },
            Line {
                series: series(""),
                points: Vec::new(),
                part: &CURVE,
                is_stepped: false,
            },
        ],
    }
}

fn bars() -> Bars {
    let values = |values: [f64; 3]| BarSeries {
        series: series("some"),
        values: values.to_vec(),
    };
    Bars {
        y: axis(Scale::Linear, 0.0, 1.0),
        label: "bins".to_string(),
        bins: ["a", "b", "c"].map(String::from).to_vec(),
        series: vec![values([0.0, 0.5, 1.0]), values([2.0, -1.0, 0.3])],
    }
}

fn sectors() -> Sectors {
    let sector = |from, to, name| Sector {
        from,
        to,
        series: series(name),
    };
    let mark = |number: u32| Mark {
        name: format!("a machine with a long name, number {number}"),
        short: number.to_string(),
        x: 100.0 * f64::from(number).powi(3),
        y: 150.0,
    };
    Sectors {
        x: axis(Scale::Log, 30.0, 500_000.0),
        y: axis(Scale::Log, 10.0, 50_000.0),
        sectors: vec![
            sector(0.0, 0.002, "low"),
            sector(0.002, 0.1, "middle"),
            sector(0.1, f64::INFINITY, "high"),
        ],
        marks: (0..12).map(mark).collect(),
    }
}

/// Every chart at a desk's and at a telephone's width.
fn all() -> Vec<(f64, String)> {
    let charts: [&dyn Chart; 5] = [
        &dots(Scale::Linear),
        &dots(Scale::Log),
        &lines(),
        &bars(),
        &sectors(),
    ];
    let widths = [720.0, 340.0];
    let drawn = charts.into_iter().flat_map(|chart| {
        widths.map(|width| (width, chart.svg("A \"title\" with <signs> & more", width)))
    });
    drawn.collect()
}

/// The numbers of an attribute, all over a picture.
fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
    let key = format!(" {attribute}=\"");
    let values = svg
        .split(&key)
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let numbers = values.flat_map(|value| value.split([' ', ',']));
    numbers
        .map(|number| number.parse().unwrap_or(f64::NAN))
        .collect()
}

#[test]
fn every_chart_is_well_formed() {
    for (_, svg) in all() {
        let mut open = Vec::new();
        let mut rest = svg.as_str();
        while let Some(begin) = rest.find('<') {
            let end = begin + rest[begin..].find('>').expect("every tag ends");
            let tag = &rest[begin + 1..end];
            assert!(!tag.contains('<'), "{tag}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(svg.contains("aria-label=\"A &quot;title&quot; with &lt;signs&gt; &amp; more\""));
        // Each & begins a reference.
        let after = svg.split('&').skip(1);
        for text in after {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|name| text.starts_with(name)), "&{text}");
        }
    }
}

#[test]
fn every_shape_carries_its_colours_without_a_style() {
    for (_, svg) in all() {
        assert!(!svg.contains("var(") && !svg.contains("style"), "{svg}");
        let shapes = [
            "<text ",
            "<line ",
            "<rect ",
            "<polyline ",
            "<polygon ",
            "<circle ",
        ];
        let elements = shapes
            .into_iter()
            .flat_map(|shape| svg.split(shape).skip(1));
        for element in elements.filter_map(|rest| rest.split('>').next()) {
            let has = |attribute: &str| element.contains(&format!(" {attribute}=\"#"));
            assert!(has("fill") || has("stroke"), "{element}");
            // What is not to be filled says so: black is what SVG fills with.
            assert!(
                element.contains(" fill=") || element.contains("x1="),
                "{element}"
            );
        }
    }
}

#[test]
fn a_page_replaces_the_colours_of_every_part() {
    let css = style(&[]);
    for (_, svg) in all() {
        for class in svg.split(" class=\"").skip(1) {
            let class = class.split(['"', ' ']).next().unwrap();
            assert!(
                class == "c-marker" || css.contains(&format!(".{class} {{ ")),
                "{class}"
            );
        }
    }
    for colour in ["--paper: #15161a;", "--ink: #e9e8e3;"] {
        assert!(
            css.contains(colour),
            "{colour} of the dark is missing: {css}"
        );
    }
}

#[test]
fn all_points_are_within_the_picture() {
    for (width, svg) in all() {
        let [_, _, box_width, height] = numbers(&svg, "viewBox")[..] else {
            panic!("a view box has four numbers: {svg}");
        };
        assert_eq!(box_width, width);
        let points = numbers(&svg, "points");
        let (xs, ys) = points
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let across = ["x", "x1", "x2", "cx"]
            .into_iter()
            .flat_map(|name| numbers(&svg, name));
        for x in across.chain(xs) {
            assert!((0.0..=width).contains(&x), "{x} of {width}: {svg}");
        }
        let up = ["y", "y1", "y2", "cy"]
            .into_iter()
            .flat_map(|name| numbers(&svg, name));
        for y in up.chain(ys) {
            assert!((0.0..=height).contains(&y), "{y} of {height}: {svg}");
        }
        let sizes = ["width", "height", "r"]
            .into_iter()
            .flat_map(|name| numbers(&svg, name));
        assert!(sizes.into_iter().all(|size| size >= 0.0), "{svg}");
    }
}

#[test]
fn texts_keep_within_the_picture_by_their_estimated_width() {
    for (width, svg) in all() {
        for text in svg.split("<text ").skip(1) {
            let attribute = |name: &str| {
                let (_, rest) = text.split_once(&format!("{name}=\""))?;
                rest.split('"').next()
            };
            let x: f64 = attribute("x").unwrap().parse().unwrap();
            let content = text.split(['>', '<']).nth(1).unwrap();
            let long = svg::text_width(content);
            let (left, right) = match attribute("text-anchor").unwrap() {
                "start" => (x, x + long),
                "middle" => (x - long / 2.0, x + long / 2.0),
                _ => (x - long, x),
            };
            // A label may be longer than all the available space.
            if long < width * 0.4 {
                assert!(
                    left >= -0.1 && right <= width + 0.1,
                    "{content}: {left} to {right} of {width}"
                );
            }
        }
    }
}

#[test]
fn ticks_are_round_and_within_the_axis() {
    assert_eq!(
        axis(Scale::Linear, 0.0, 1.0).ticks(5),
        [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
    );
    assert_eq!(axis(Scale::Linear, 0.0, 130.0).ticks(4), [0.0, 50.0, 100.0]);
    assert_eq!(
        axis(Scale::Log, 1.0, 100.0).ticks(7),
        [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    );
    assert_eq!(
        axis(Scale::Log, 30.0, 5e5).ticks(4),
        [100.0, 1000.0, 10_000.0, 100_000.0]
    );
    let place = |value| axis(Scale::Log, 1.0, 100.0).place(value);
    assert_eq!([0.0, 1.0, 10.0, 1e9].map(place), [0.0, 0.0, 0.5, 1.0]);
}

#[test]
fn a_sector_is_cut_by_its_ratios() {
    let svg = sectors().svg("", 720.0);
    assert_eq!(svg.matches("c-area").count(), 3);
    for name in ["low", "middle", "high"] {
        assert!(
            svg.contains(&format!(">{name}</text>")),
            "{name} has no name"
        );
    }
    // The line between two of them belongs to both.
    let areas = svg
        .split("<polygon points=\"")
        .skip(1)
        .filter(|area| area.contains("c-area"));
    let corners: Vec<Vec<&str>> = areas
        .map(|area| area.split('"').next().unwrap().split(' ').collect())
        .collect();
    for pair in corners.windows(2) {
        let shared = pair[0].iter().filter(|corner| pair[1].contains(corner));
        assert_eq!(shared.count(), 2, "{pair:?}");
    }
}

#[test]
fn the_name_of_a_sector_stands_in_it() {
    let mut chart = sectors();
    // A narrow one in the middle, and marks all over it.
    for (sector, (from, to)) in
        chart
            .sectors
            .iter_mut()
            .zip([(0.0, 0.1), (0.1, 0.2), (0.2, f64::INFINITY)])
    {
        (sector.from, sector.to) = (from, to);
    }
    for (number, mark) in (0..).zip(&mut chart.marks) {
        mark.x = 800.0 * 1.3_f64.powi(number);
        mark.y = 0.15 * mark.x;
    }
    for width in [720.0, 340.0] {
        let svg = chart.svg("", width);
        let numbers = |text: &str| -> Vec<f64> {
            let numbers = text.split([',', ' ']).map(str::parse);
            numbers.collect::<Result<_, _>>().unwrap()
        };
        let attribute = |element: &str, name: &str| {
            let (_, rest) = element.split_once(&format!("{name}=\"")).unwrap();
            numbers(rest.split('"').next().unwrap())
        };
        let areas = svg
            .split("<polygon ")
            .skip(1)
            .filter(|area| area.contains("c-area"));
        let names: Vec<_> = svg
            .split("<text ")
            .skip(1)
            .filter(|text| text.contains("c-sector"))
            .collect();
        assert_eq!(names.len(), 3);
        for (area, name) in areas.zip(names) {
            let corners = attribute(area, "points");
            let corners: Vec<_> = corners.chunks(2).map(|at| (at[0], at[1])).collect();
            let at = (attribute(name, "x")[0], attribute(name, "y")[0] - 4.0);
            assert!(sectors::contains(&corners, at), "{name} is at {at:?}");
        }
    }
}

#[test]
fn marks_do_not_hide_each_others_names() {
    let mut chart = sectors();
    chart.marks.truncate(5);
    let svg = chart.svg("", 720.0);
    let mut boxes: Vec<[f64; 4]> = Vec::new();
    for text in svg
        .split("<text ")
        .skip(1)
        .filter(|text| text.contains("c-name"))
    {
        let number = |name: &str| -> f64 {
            let (_, rest) = text.split_once(&format!("{name}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let content = text.split(['>', '<']).nth(1).unwrap();
        let (x, y) = (number("x"), number("y"));
        let bounds = [x, y - 11.0, x + svg::text_width(content), y];
        let apart = |other: &[f64; 4]| {
            bounds[2] <= other[0]
                || other[2] <= bounds[0]
                || bounds[3] <= other[1]
                || other[3] <= bounds[1]
        };
        assert!(boxes.iter().all(apart), "{content}");
        boxes.push(bounds);
    }
    assert_eq!(boxes.len(), 5);
}
