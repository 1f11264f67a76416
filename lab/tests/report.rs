//! The report of a study as a browser shows it: at a telephone's and at a desk's width, in the light and in
//! the dark. Leaves screenshots in `target/report-screenshots` for people to look at.
//!
//! Needs chromium and rsvg-convert, which `scripts/setup.sh --tests` installs.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::Deserialize;
use trapcast_forecast::Scheme;
use trapcast_report::record::{End, Metadata, RecordWriter, Vcpu};
use trapcast_results::{
    Counters, FORMAT, Figures, Integrity, Results, Scale, SchemeResult, Timing, Versions,
};
use trapcast_tool::{output, paths::Paths, random::Random};
use trapcast_trace::histogram::{Bin, Histogram, Unit};
use trapcast_trace::record::{Flags, NEVER, Record};

mod outside;

use outside::{files, refused, trapcast};

/// Widths and heights of windows.
const PHONE: (u32, u32) = (360, 740);
const DESK: (u32, u32) = (1280, 900);

/// Windows of each record.
const WINDOWS: u64 = 3000;

/// Workloads: a name, vCPUs, cores.
const WORKLOADS: [(&str, u16, u16); 6] = [
    ("linux", 1, 1),
    ("redis", 1, 1),
    ("linux-mix", 3, 1),
    ("mix-simd-1ms", 2, 1),
    ("smp-on-2", 4, 2),
    ("random-29", 1, 1),
];

/// Writes a record of tasks that use the registers nearly always or nearly never.
fn record(path: &Path, (workload, vcpus, cores): (&str, u16, u16)) {
    let metadata = Metadata {
        workload: workload.to_string(),
        scheme: "owner".to_string(),
        vcpus: (0..vcpus).map(|vm| Vcpu { vm, index: 0 }).collect(),
        ..Metadata::default()
    };
    let mut writer = RecordWriter::create(path, metadata).unwrap();
    let mut random = Random::new(workload.len() as u64);
    for window in 0..WINDOWS {
        // Each turn is of some windows, and each vCPU has a core of its own choice for it.
        let (turn, place) = (window / 8, window % 8);
        let vcpu = (turn % u64::from(vcpus)) as u16;
        let task = random.below(12) as u16;
        let used = random.below(20) < if task.is_multiple_of(2) { 19 } else { 1 };
        let mut flags = Flags::empty();
        flags.set(Flags::LOADED, place == 0);
        flags.set(Flags::PUT, place == 7);
        flags.set(Flags::FP, used);
        flags.set(Flags::MARK, turn == 20);
        let record = Record {
            start: window * 1000,
            duration: 900,
            pc: 0x40_0000 + 64 * u64::from(task),
            vcpu,
            asid: task,
            ttbr0: u64::from(task) << 12,
            guest_instructions: 4000,
            el2_instructions: 300,
            first_use: if used { 100 } else { NEVER },
            flags: flags.bits(),
            ..Record::default()
        };
        let core = (turn / u64::from(vcpus) % u64::from(cores)) as usize;
        writer.push(core, &[record]).unwrap();
    }
    let end = End {
        counter_frequency: 62_500_000,
        ..End::default()
    };
    writer.finish(end).unwrap();
}

/// What a study would have found of a scheme on a workload.
fn found(workload: &str, scheme: Scheme, number: u64) -> SchemeResult {
    let nothing = Counters::default();
    let histogram = |unit| Histogram {
        unit,
        bins: (0..6)
            .map(|bin| Bin {
                from: bin * 100 + number,
                to: bin * 100 + number + 99,
                count: 10_u64.pow(6 - bin as u32),
            })
            .collect(),
    };
    SchemeResult {
        workload: workload.to_string(),
        scheme,
        figures: Some(Figures {
            longest_masked: Some(1500 + number),
            masked: Some(histogram(Unit::Instructions)),
            timer_delay: Some(histogram(Unit::Nanoseconds)),
            ..Figures::derive(scheme, &nothing, &nothing, &[])
        }),
        integrity: Integrity::default(),
        plain: None,
        observed: None,
        agreement: None,
    }
}

/// Makes a study's directory, and has the command write its report there. Returns the page.
fn report(directory: &Path) -> PathBuf {
    for workload in WORKLOADS {
        let name = format!("records/{}.owner.parquet", workload.0);
        record(&directory.join(name), workload);
    }
    let schemes = WORKLOADS.iter().flat_map(|(workload, ..)| {
        (0..)
            .zip(Scheme::ALL)
            .map(|(number, scheme)| found(workload, scheme, number * 50))
    });
    let results = Results {
        format: FORMAT,
        courses: 1,
        further_courses: Vec::new(),
        versions: Versions {
            qemu: "QEMU <made> & \"quoted\"".to_string(),
            ..Versions::default()
        },
        cpu: "neoverse-n1".to_string(),
        vhe: true,
        scale: Scale::QUICK,
        slice: None,
        results: schemes.collect(),
        replays: Vec::new(),
        failures: Vec::new(),
        timing: Timing::default(),
    };
    output::write_json(&directory.join("results.json"), &results).unwrap();
    let output = trapcast(directory, &["report", "."]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let summary = String::from_utf8(output.stdout).unwrap();
    for number in 1..=6 {
        assert!(summary.contains(&format!("{number}. ")), "{summary}");
    }
    directory.join("report.html")
}

/// What a browser says of a page.
#[derive(Debug, Deserialize)]
struct Measured {
    /// Width of the window.
    width: f64,
    /// Width of all that is in it.
    content: f64,
    /// The elements that stick out of it, but those in a container that scrolls.
    outside: Vec<String>,
    /// Each figure.
    figures: Vec<Figure>,
}

#[derive(Debug, Deserialize)]
struct Figure {
    id: String,
    /// Pictures that are shown.
    pictures: usize,
    /// Width and height of the first of them.
    size: [f64; 2],
    /// How many of its marks, lines, bars and areas have a size.
    drawn: usize,
}

/// Measures the page in the frame, and makes the frame as high as the page.
const MEASURE: &str = r#"
const frame = document.querySelector("iframe");
frame.onload = () => {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const size = element => { const box = element.getBoundingClientRect(); return [box.width, box.height]; };
  const isShown = element => size(element).every(side => side > 0);
  const shapes = ".c-solid, .c-ring, .c-stroke, .c-line, .c-thin, .c-thick, .c-filled, .c-empty, .c-area";
  const figures = [...page.querySelectorAll("figure")].map(figure => {
    const pictures = [...figure.querySelectorAll("svg")].filter(isShown);
    const drawn = pictures.flatMap(svg => [...svg.querySelectorAll(shapes)]);
    return {
      id: figure.id, pictures: pictures.length, size: pictures.length ? size(pictures[0]) : [0, 0],
      drawn: drawn.filter(shape => size(shape).some(side => side > 0)).length,
    };
  });
  const outside = [...page.body.querySelectorAll("*")]
    .filter(element => !element.closest(".scroll, svg") && element.getBoundingClientRect().right > view.innerWidth + 0.5)
    .map(element => element.tagName + "." + element.className);
  const measured = { width: view.innerWidth, content: root.scrollWidth, outside, figures };
  document.querySelector("pre").textContent = encodeURIComponent(JSON.stringify(measured));
  frame.style.height = root.scrollHeight + "px";
};
"#;

/// A page that shows another one in a window of a size. A frame can be narrower than a browser's window.
fn frame(page: &Path, (width, height): (u32, u32)) -> PathBuf {
    let name = page.file_name().unwrap().to_str().unwrap();
    let path = page.with_file_name(format!("frame-{width}-{name}"));
    let html = format!(
        "<!DOCTYPE html><link rel=icon href='data:,'><body style='margin:0'><iframe style='border:0;display:block;\
         width:{width}px;height:{height}px'></iframe><pre hidden></pre><script>{MEASURE}\nframe.src = \"{name}\";\
         </script>"
    );
    fs::write(&path, html).unwrap();
    path
}

/// Runs a browser over a page.
fn chromium(page: &Path, arguments: &[&str]) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args([
            "--kill-after=5",
            "120",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
        ])
        .args([
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ])
        // The frame and the page in it are files, each of which is else a world of its own.
        .args([
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output();
    let output = output.expect("timeout is part of every Debian");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "chromium did not do its work; if it is missing, run scripts/setup.sh --tests: {said}"
    );
    output
}

/// What is wrong with a page in a window of a size.
fn faults(page: &Path, size: (u32, u32)) -> Vec<String> {
    let output = chromium(
        &frame(page, size),
        &["--dump-dom", "--window-size=1300,1000"],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    let mut faults: Vec<_> = said
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .map(|line| format!("console: {line}"))
        .collect();
    let dom = String::from_utf8(output.stdout).unwrap();
    let encoded = dom
        .split_once("<pre hidden=\"\">")
        .and_then(|(_, rest)| rest.split('<').next());
    let text = decoded(encoded.unwrap_or_default());
    let measured: Measured =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {dom}"));
    assert_eq!(measured.width, f64::from(size.0));
    if measured.content > measured.width || !measured.outside.is_empty() {
        faults.push(format!(
            "overflow: {} of {}, {:?}",
            measured.content, measured.width, measured.outside
        ));
    }
    if measured.figures.is_empty() {
        faults.push("there is no figure".to_string());
    }
    for figure in measured.figures {
        let [width, height] = figure.size;
        if figure.pictures != 1 || width < 200.0 || height < 60.0 || figure.drawn < 2 {
            faults.push(format!("not drawn: {figure:?}"));
        }
        println!("{}: {width} x {height}, {} shapes", figure.id, figure.drawn);
    }
    faults
}

/// Undoes `encodeURIComponent`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let code = others
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_browser_shows_it_at_any_width_in_the_light_and_in_the_dark() {
    let directory = tempfile::tempdir().unwrap();
    let page = report(directory.path());
    let paths = Paths::find(None).unwrap();
    let screenshots = paths.target().join("report-screenshots");
    fs::create_dir_all(&screenshots).unwrap();
    for (name, size) in [("phone", PHONE), ("desk", DESK)] {
        assert_eq!(faults(&page, size), [""; 0], "{name}");
        for (light, scheme) in [("light", 1), ("dark", 0)] {
            let file = screenshots.join(format!("{name}-{light}.png"));
            let _ = fs::remove_file(&file);
            let arguments = [
                format!("--screenshot={}", file.display()),
                format!("--blink-settings=preferredColorScheme={scheme}"),
                format!("--window-size={},30000", size.0.max(500)),
            ];
            chromium(
                &frame(&page, size),
                &arguments.each_ref().map(String::as_str),
            );
            let bytes = fs::read(&file).unwrap();
            assert!(bytes.starts_with(b"\x89PNG"), "{}", file.display());
        }
    }
    let [light, dark] = ["light", "dark"]
        .map(|light| fs::read(screenshots.join(format!("desk-{light}.png"))).unwrap());
    assert_ne!(light, dark, "the dark page is as the light one");
}

/// A picture: its width, and red, green, blue of each pixel.
type Picture = (usize, Vec<[u8; 3]>);

fn read_png(file: &Path) -> Picture {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(file).unwrap()));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let pixels = bytes.chunks_exact(info.color_type.samples());
    let pixels = pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    (info.width as usize, pixels)
}

/// The mean colour of each square of 8 by 8 pixels: what is left where renderers differ in the edges of letters
/// and lines.
fn squares(width: usize, pixels: &[[u8; 3]]) -> Vec<[f64; 3]> {
    const SIDE: usize = 8;
    let (across, down) = (width / SIDE, pixels.len() / width / SIDE);
    let square = |number: usize| {
        let (x, y) = (number % across * SIDE, number / across * SIDE);
        let mut sum = [0.0; 3];
        for row in y..y + SIDE {
            for pixel in &pixels[row * width + x..][..SIDE] {
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += f64::from(*value) / (SIDE * SIDE) as f64;
                }
            }
        }
        sum
    };
    (0..across * down).map(square).collect()
}

/// How many pixels wide and high an SVG file is.
fn size(svg: &Path) -> (usize, usize) {
    let text = fs::read_to_string(svg).unwrap();
    let (_, rest) = text.split_once("viewBox=\"0 0 ").unwrap();
    let (size, _) = rest.split_once('"').unwrap();
    let (width, height) = size.split_once(' ').unwrap();
    (width.parse().unwrap(), height.parse().unwrap())
}

/// A picture by librsvg, whose renderer knows no more than plain attributes and simple styles.
fn by_librsvg(svg: &Path) -> Picture {
    let file = svg.with_extension("librsvg.png");
    let mut command = Command::new("rsvg-convert");
    let status = command.arg("--output").args([&file, svg]).status();
    let status = status.expect("rsvg-convert is missing: run scripts/setup.sh --tests");
    assert!(status.success(), "{}: {status}", svg.display());
    read_png(&file)
}

/// For each SVG file, all of one width, how far a browser's picture and one by librsvg are apart: the share of
/// squares of 8 by 8 pixels whose mean differs by more than a tenth of the range.
fn rasters_apart(files: &[PathBuf]) -> Vec<f64> {
    let sizes: Vec<_> = files.iter().map(|file| size(file)).collect();
    let (width, height) = (
        sizes[0].0,
        sizes.iter().map(|(_, height)| height).sum::<usize>(),
    );
    let page = files[0].with_file_name("rasters.html");
    let images = files.iter().zip(&sizes).map(|(file, (width, height))| {
        let name = file.file_name().unwrap().to_str().unwrap();
        format!("<img style='display:block' width={width} height={height} src='{name}'>")
    });
    let html = format!(
        "<!DOCTYPE html><body style='margin:0'>{}",
        images.collect::<String>()
    );
    fs::write(&page, html).unwrap();
    let screenshot = page.with_extension("png");
    let arguments = [
        format!("--screenshot={}", screenshot.display()),
        format!("--window-size={width},{height}"),
        "--force-device-scale-factor=1".to_string(),
    ];
    chromium(&page, &arguments.each_ref().map(String::as_str));
    let (page_width, mut rest) = {
        let (width, pixels) = read_png(&screenshot);
        (width, pixels.into_iter())
    };
    let apart = files.iter().zip(sizes).map(|(file, (width, height))| {
        assert_eq!(width, page_width, "{}", file.display());
        let browsers: Vec<_> = rest.by_ref().take(width * height).collect();
        let (own_width, own) = by_librsvg(file);
        assert_eq!(
            (own_width, own.len()),
            (width, browsers.len()),
            "{}",
            file.display()
        );
        let (own, browsers) = (squares(width, &own), squares(width, &browsers));
        let differ = own.iter().zip(&browsers).filter(|(one, other)| {
            let channels = one.iter().zip(*other);
            channels.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) > 25.0
        });
        differ.count() as f64 / own.len() as f64
    });
    apart.collect()
}

/// The share of squares in which two renderers may differ, by their letters.
const LETTERS_DIFFER: f64 = 0.002;

/// The figures of a report in a directory.
fn figures(directory: &Path) -> Vec<PathBuf> {
    report(directory);
    let data = directory.join("report");
    let figures = files(&data)
        .into_iter()
        .filter(|name| name.ends_with(".svg"));
    figures.map(|name| data.join(name)).collect()
}

#[test]
fn a_figure_looks_the_same_wherever_it_is_rendered() {
    let directory = tempfile::tempdir().unwrap();
    let figures = figures(directory.path());
    assert!(figures.len() > 10, "{figures:?}");
    for (figure, apart) in figures.iter().zip(rasters_apart(&figures)) {
        assert!(
            apart <= LETTERS_DIFFER,
            "{}: {apart} of it differ",
            figure.display()
        );
    }
}

/// An SVG document whose colours are values of variables: browsers know these, other renderers do not.
fn with_variables(svg: &str) -> String {
    let tag = |tag: &str| {
        let mut tag = tag.to_string();
        let mut style = String::new();
        for attribute in ["fill", "stroke"] {
            if let Some((start, rest)) = tag.split_once(&format!(" {attribute}=\"#"))
                && let Some((colour, end)) = rest.split_once('"')
            {
                style += &format!("{attribute}:var(--none,#{colour});");
                tag = format!("{start}{end}");
            }
        }
        match tag.split_once(' ') {
            Some((name, rest)) if !style.is_empty() => format!("{name} style=\"{style}\" {rest}"),
            _ => tag,
        }
    };
    svg.split('<').map(tag).collect::<Vec<_>>().join("<")
}

#[test]
fn a_figure_whose_colours_need_a_browser_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let figures = figures(directory.path());
    for figure in &figures {
        let svg = fs::read_to_string(figure).unwrap();
        fs::write(figure, with_variables(&svg)).unwrap();
    }
    for (figure, apart) in figures.iter().zip(rasters_apart(&figures)) {
        assert!(
            apart > 10.0 * LETTERS_DIFFER,
            "{}: {apart}",
            figure.display()
        );
    }
}

#[test]
fn the_checks_find_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("bad.html");
    let html = "<!DOCTYPE html><meta name=viewport content='width=device-width'>\
                <div class=wide style='width:2000px'>wide</div>\
                <figure id=hidden><svg style='display:none'></svg></figure>\
                <figure id=empty><svg viewBox='0 0 300 300' width=300 height=300></svg></figure>\
                <script>console.error('it broke')</script>";
    fs::write(&page, html).unwrap();
    let faults = faults(&page, PHONE);
    for wanted in ["it broke", "DIV.wide", "\"hidden\"", "\"empty\""] {
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{wanted} is not in {faults:?}"
        );
    }
}

#[test]
fn the_page_needs_nothing_else_and_the_data_lie_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let page = report(directory.path());
    let html = fs::read_to_string(&page).unwrap();
    for foreign in ["http://", "https://", "<script", "<img", "@import", "url("] {
        let own = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(foreign), "{foreign} is in the page");
    }
    let links = html.split("href=\"report/").skip(1);
    let linked: BTreeSet<_> = links.filter_map(|rest| rest.split('"').next()).collect();
    let there = files(&directory.path().join("report"));
    assert_eq!(linked, there.iter().map(String::as_str).collect());
    assert!(there.len() > 20, "{there:?}");
    let documentation = include_str!("../../docs/report.md");
    for file in there {
        let name = file.split('.').next().unwrap();
        let row = format!("| `{name}` |");
        assert!(
            documentation.contains(&row),
            "docs/report.md has no row {row}"
        );
    }
    assert!(html.contains("QEMU &lt;made&gt; &amp; &quot;quoted&quot;"));
}

#[test]
fn a_study_without_records_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    report(directory.path());
    fs::remove_dir_all(directory.path().join("records")).unwrap();
    let sentence = refused(directory.path(), &["report", "."]);
    assert!(sentence.contains("no records of the study"), "{sentence}");
    let sentence = refused(directory.path(), &["report", "nowhere"]);
    assert!(sentence.contains("nowhere/results.json"), "{sentence}");
}
