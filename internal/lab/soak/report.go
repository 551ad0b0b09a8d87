//go:build linux

package soak

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// A Report is a run, with where it was.
type Report struct {
	Commit  string `json:"commit,omitempty"`
	Where   string `json:"where,omitempty"`
	Command string `json:"command"`
	Result
}

const intro = `A real nicferryd with its records in a file, a real nicferry-agent and a real dockerd, on two machines made of namespaces.
Containers on four networks (DHCP, addresses from the controller, ever new names, a pool) are started, restarted, stopped and removed all the
time, and in each round something is harmed, drawn from a seed. From when the harm is taken away it is counted how long it takes until every container that runs
has its NIC and answers a ping, no claim is without its container, and what must always hold does. Then all containers are removed, and once nothing is left of them
a sample is taken at rest. Samples at rest are what is held against each other: the median of the last quarter
must not be above that of the second by more than is allowed. A daemon that was killed begins a series of its own.`

type table struct {
	title, note string
	head        []string
	rows        [][]string
}

func (r Report) tables() []table {
	return []table{r.verdict(), r.flat(), r.kindsOfFaults(), r.faultsOneByOne()}
}

func (r Report) verdict() table {
	t := table{
		title: "Verdict", head: []string{"", ""},
		rows: [][]string{
			{"command", "`" + r.Command + "`"},
			{"seed", fmt.Sprint(r.Seed)},
			{"containers", fmt.Sprintf("%d, at most %d at once", r.Lives, r.AtOnce)},
			{"faults", fmt.Sprint(len(r.Faults))},
			{"until all was whole again", spread(r.wholes(""))},
			{"until nothing was left of all containers", spread(r.Rests)},
			{"took", time.Duration(r.Seconds * float64(time.Second)).Round(time.Second).String()},
		},
	}
	verdict := "all came back, all is flat, nothing was left behind"
	if failed := r.Failed(); len(failed) > 0 {
		verdict = "FAILED: " + strings.Join(failed, "; ")
	}
	t.rows = append(t.rows, []string{"verdict", verdict})
	return t
}

func (r Report) flat() table {
	t := table{
		title: "At rest", note: "Medians of the samples at rest. Series of less than four are too short to tell. A controller remembers its latest events and commits, " +
			"so many of each: its RSS grows until it has them all, and then no more. It runs with GOGC=100 here, that is less garbage than else.",
		head: []string{"measure", "of", "samples", "second quarter", "last quarter", "may grow by", "flat"},
	}
	for _, s := range r.Series {
		row := []string{s.What, s.Whose, fmt.Sprint(s.Points), "", "", "", "too short"}
		if s.Judged {
			row = []string{s.What, s.Whose, fmt.Sprint(s.Points), s.show(s.Early), s.show(s.Late), s.show(s.Allowed), map[bool]string{true: "yes", false: "NO"}[s.Flat]}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// wholes are how long it took after each fault of the kind, or after each.
func (r Report) wholes(what string) (all []float64) {
	for _, f := range r.Faults {
		if cmp.Or(what, f.What) == f.What {
			all = append(all, f.Whole)
		}
	}
	return all
}

func (r Report) kindsOfFaults() table {
	t := table{title: "Faults by kind", note: "How long it took from the end of the harm until all was whole again.", head: []string{"fault", "times", "until whole"}}
	for _, f := range faults() {
		if all := r.wholes(f.name); len(all) > 0 {
			t.rows = append(t.rows, []string{f.name, fmt.Sprint(len(all)), spread(all)})
		}
	}
	return t
}

func (r Report) faultsOneByOne() table {
	t := table{title: "Faults in order", note: "Harm with what it took to be done, and taken back.", head: []string{"at", "fault", "", "took", "until whole", "containers that answer"}}
	for _, f := range r.Faults {
		t.rows = append(t.rows, []string{fmt.Sprintf("%.0f s", f.At), f.What, f.How, fmt.Sprintf("%.1f s", f.Took), fmt.Sprintf("%.1f s", f.Whole), fmt.Sprint(f.Running)})
	}
	return t
}

// spread is the median and the most.
func spread(seconds []float64) string {
	if len(seconds) == 0 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(seconds))
	return fmt.Sprintf("median %.1f s, longest %.1f s", sorted[len(sorted)/2], sorted[len(sorted)-1])
}

func (r Report) heading() string {
	return "A soak of " + r.For + ", with a fault every " + r.Every
}

func (r Report) where() string {
	if r.Commit == "" {
		return r.Where
	}
	return "Commit " + r.Commit + ". " + r.Where
}

// Markdown is the report as Markdown.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n%s Made by `make soak`; the plots are in [soak.html](soak.html).\n", r.heading(), intro, r.where())
	for _, t := range r.tables() {
		fmt.Fprintf(&b, "\n## %s\n\n", t.title)
		if t.note != "" {
			fmt.Fprintf(&b, "%s\n\n", t.note)
		}
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
		for _, row := range t.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.ReplaceAll(strings.Join(row, " | "), "\n", " "))
		}
	}
	return b.String()
}

// HTML is the report as one page that needs nothing else.
func (r Report) HTML() string {
	var b strings.Builder
	esc := html.EscapeString
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%[1]s</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;color:#1f2328}
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #d0d7de;padding:.3em .7em;text-align:left}th{background:#f6f8fa}
svg text{font:12px system-ui,sans-serif;fill:#1f2328}</style></head><body>
<h1>%[1]s</h1><p>%[2]s</p><p>%[3]s</p>
`, esc(r.heading()), esc(intro), esc(r.where()))
	for i, t := range r.tables() {
		if i == 1 {
			b.WriteString(r.plots())
		}
		fmt.Fprintf(&b, "<h2>%s</h2><p>%s</p>\n<table><tr>", esc(t.title), esc(t.note))
		for _, h := range t.head {
			fmt.Fprintf(&b, "<th>%s</th>", esc(h))
		}
		b.WriteString("</tr>\n")
		for _, row := range t.rows {
			b.WriteString("<tr>")
			for _, cell := range row {
				fmt.Fprintf(&b, "<td>%s</td>", esc(strings.Trim(cell, "`")))
			}
			b.WriteString("</tr>\n")
		}
		b.WriteString("</table>\n")
	}
	b.WriteString("</body></html>\n")
	return b.String()
}

// Write writes the report into a directory: soak.md, soak.html and soak.json, and the
// daemons' logs if it did not come to its end.
func (r Report) Write(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string]string{"soak.md": r.Markdown(), "soak.html": r.HTML(), "soak.json": string(text) + "\n"}
	if r.Logs != "" {
		files["soak.log"] = r.Logs
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Where says on which machine it is, and how busy that is.
func Where() string {
	m, err := figures.Look()
	if err != nil {
		return ""
	}
	text := fmt.Sprintf("Written %s on Linux %s, %d × %s, load %.2f before the start.", time.Now().UTC().Format(time.DateOnly), m.Kernel, m.CPUs, m.CPU, m.Load)
	if m.Busy() != "" {
		text += " The machine was busy with other work: times are longer than its own."
	}
	return text
}
