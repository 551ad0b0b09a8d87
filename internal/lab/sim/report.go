//go:build linux

package sim

import (
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

// A Report is runs of several sizes, with what a controller takes to start with the
// records of each one's peak.
type Report struct {
	Commit string  `json:"commit,omitempty"`
	Where  string  `json:"where,omitempty"`
	Sizes  []Sized `json:"sizes"`
}

// Sized is one size.
type Sized struct {
	Result
	Restarted *Restarted `json:"restarted,omitempty"`
}

// Leaks says whether any run has left something, or broken a promise.
func (r Report) Leaks() (all []string) {
	for _, s := range r.Sizes {
		for _, l := range s.Leaks {
			all = append(all, fmt.Sprintf("%d nodes: %s", s.Nodes, l))
		}
	}
	return all
}

// A table is one of the report, for Markdown and HTML alike.
type table struct {
	title, note string
	head        []string
	rows        [][]string
	bars        []bar // beside it, in HTML
	unit        string
}

// HeapGrowth is GOGC as nicferryd sets it, for a fleet as for a controller that starts.
const HeapGrowth = "300"

const intro = `The real allocator, its store in memory, agents that speak its API, and a cloud in memory, all of it in
virtual time and drawn from a seed: each container comes and goes at its own moment, each call takes 40 to 60 ms and what it begins
some seconds more, calls beyond the cloud's token buckets are turned away, and some fail, half of them after they have taken effect.
Nodes come within an hour and their containers start within two, some are replaced in the next, and all are removed in two more.
One in five is on a network that keeps a NIC in reserve on each node. Waits are virtual time, and hardly depend on the machine;
processor time and memory are real ones of this machine, and are the allocator's together with those of the store, the cloud and the
agents that play beside it. Garbage is collected as nicferryd does it: when the heap has grown by ` + HeapGrowth + ` %.`

// made says how the report was made, and what it is not.
func (r Report) made() string {
	if len(r.Sizes) == 0 {
		return ""
	}
	var nodes []string
	for _, s := range r.Sizes {
		nodes = append(nodes, fmt.Sprint(s.Nodes))
	}
	per, full := r.Sizes[0].PerNode, Default(0).PerNode
	if per == full {
		return fmt.Sprintf("Made by `make sim NODES=%s`.", strings.Join(nodes, ","))
	}
	return fmt.Sprintf("Made by `make sim NODES=%s CONTAINERS=%d`, so with %d at a time on each node; the full size is %d, which is `make sim`, and was not run for this report.",
		strings.Join(nodes, ","), per, per, full)
}

// Tables are the report.
func (r Report) tables() []table {
	return slices.DeleteFunc([]table{r.growths(), r.costs(), r.waits(), r.calls(), r.restarts(), r.leftovers()}, func(t table) bool { return len(t.rows) == 0 })
}

func (r Report) costs() table {
	t := table{
		title: "What a container's life costs", unit: "ms of processor per life",
		note: "Processor time per container from its start until nothing of it is left, by the part of the run: it must not grow with the fleet. Memory is the whole process's.",
		head: []string{"nodes", "on each", "containers", "NICs at once", "cost of a life", "starting", "replacing", "removing", "memory", "virtual time", "digest"},
	}
	for _, s := range r.Sizes {
		row := []string{fmt.Sprint(s.Nodes), fmt.Sprint(s.PerNode), fmt.Sprint(s.Lives), fmt.Sprint(s.AtOnce), ms(s.Cost())}
		for _, span := range s.Spans {
			row = append(row, span.CPU.Round(10*time.Millisecond).String())
		}
		t.rows = append(t.rows, append(row, mib(s.Memory()), s.Virtual.String(), s.Digest))
		t.bars = append(t.bars, bar{fmt.Sprintf("%d nodes", s.Nodes), float64(s.Cost()) / 1e6})
	}
	return t
}

func (r Report) waits() table {
	t := table{
		title: "How long containers wait for their NICs", unit: "s, p99",
		note: "From the container's asking until its node has the NIC, in virtual time. Cold: the NIC is made for it; warm: one was in reserve, if it was not the second at once.",
		head: []string{"nodes", "", "containers", "p50", "p90", "p99", "longest"},
	}
	for _, s := range r.Sizes {
		for _, of := range []struct {
			name string
			Waits
		}{{"cold", s.Cold}, {"warm", s.Warm}} {
			t.rows = append(t.rows, []string{fmt.Sprint(s.Nodes), of.name, fmt.Sprint(of.Count), sec(of.P50), sec(of.P90), sec(of.P99), sec(of.Max)})
			t.bars = append(t.bars, bar{fmt.Sprintf("%d nodes, %s", s.Nodes, of.name), of.P99.Seconds()})
		}
	}
	return t
}

func (r Report) calls() table {
	verbs := []string{opCreate, opAttach, opDetach, opDelete, opGet, opLimits, opList}
	t := table{
		title: "Calls of the provider per container's life", unit: "calls per life",
		note: "A cold life changes something four times: create, attach, detach, delete. The rest are calls that are repeated until the cloud says that it is done, and looks at many NICs at once: the more there are, the fewer per life.",
		head: append(append([]string{"nodes"}, verbs...), "all", "throttled", "failed"),
	}
	for _, s := range r.Sizes {
		row := []string{fmt.Sprint(s.Nodes)}
		throttled, failed := 0, 0
		for _, verb := range verbs {
			row = append(row, fmt.Sprintf("%.2f", float64(s.Calls[verb].Made)/float64(max(s.Lives, 1))))
			throttled, failed = throttled+s.Calls[verb].Throttled, failed+s.Calls[verb].Failed
		}
		t.rows = append(t.rows, append(row, fmt.Sprintf("%.2f", s.PerLife()), fmt.Sprint(throttled), fmt.Sprint(failed)))
		t.bars = append(t.bars, bar{fmt.Sprintf("%d nodes", s.Nodes), s.PerLife()})
	}
	return t
}

func (r Report) restarts() table {
	t := table{
		title: "A controller that starts with the records of the peak", unit: "MiB of its own",
		note: "In real time, in a process of its own, with the store on a disk: until the file is read and checked, until the allocator serves, until a new container has its NIC, and the processor time until all records have been looked at. " +
			"Memory is the process's own; the store's file is mapped besides, which the kernel may take back at any time.",
		head: []string{"claims", "store", "opened", "serves", "first container", "processor", "memory", "most", "mapped"},
	}
	for _, s := range r.Sizes {
		if a := s.Restarted; a != nil {
			t.rows = append(t.rows, []string{
				fmt.Sprint(a.Claims), mib(uint64(a.Store)), sec(a.Open), sec(a.Ready), sec(a.Served), sec(a.CPU), mib(a.Memory), mib(a.Peak - min(a.Peak, a.Mapped)), mib(a.Mapped),
			})
			t.bars = append(t.bars, bar{fmt.Sprintf("%d claims", a.Claims), float64(a.Memory) / (1 << 20)})
		}
	}
	return t
}

func (r Report) leftovers() table {
	t := table{
		title: "What was left", note: "When all containers are gone nothing may be left in the records or in the cloud, but for the reserves.",
		head: []string{"nodes", "got their NIC", "gone", "left behind"},
	}
	for _, s := range r.Sizes {
		left := "nothing"
		if len(s.Leaks) > 0 {
			left = strings.Join(s.Leaks[:min(len(s.Leaks), 5)], "; ")
		}
		t.rows = append(t.rows, []string{fmt.Sprint(s.Nodes), fmt.Sprintf("%d of %d", s.Started, s.Lives), fmt.Sprintf("%d of %d", s.Removed, s.Lives), left})
	}
	return t
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

func sec(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func mib(bytes uint64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

// heading is the report's first lines.
func (r Report) heading() string {
	text := "Fleets in virtual time"
	if r.Commit != "" {
		text += ", commit " + r.Commit
	}
	return text
}

// Markdown is the report as Markdown.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n%s %s The plots are in [sim.html](sim.html).\n", r.heading(), intro, r.Where, r.made())
	for _, t := range r.tables() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| %s |\n|%s\n", t.title, t.note, strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
		for _, row := range t.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
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
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #d0d7de;padding:.3em .7em;text-align:right}th{background:#f6f8fa}
svg text{font:12px system-ui,sans-serif;fill:#1f2328}</style></head><body>
<h1>%[1]s</h1><p>%[2]s</p><p>%[3]s %[4]s</p>
`, esc(r.heading()), esc(intro), esc(r.Where), esc(strings.ReplaceAll(r.made(), "`", "")))
	for _, t := range r.tables() {
		fmt.Fprintf(&b, "<h2>%s</h2><p>%s</p>\n%s<table><tr>", esc(t.title), esc(t.note), plot(t))
		for _, h := range t.head {
			fmt.Fprintf(&b, "<th>%s</th>", esc(h))
		}
		b.WriteString("</tr>\n")
		for _, row := range t.rows {
			b.WriteString("<tr>")
			for _, cell := range row {
				fmt.Fprintf(&b, "<td>%s</td>", esc(cell))
			}
			b.WriteString("</tr>\n")
		}
		b.WriteString("</table>\n")
	}
	b.WriteString("</body></html>\n")
	return b.String()
}

// Write writes the report into a directory: sim.md, sim.html and sim.json.
func (r Report) Write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"sim.md": r.Markdown(), "sim.html": r.HTML(), "sim.json": string(text) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Where says on which machine the figures are measured.
func Where() string {
	m, err := figures.Look()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("Written %s on Linux %s, %d × %s, load %.2f before the start.", time.Now().UTC().Format(time.DateOnly), m.Kernel, m.CPUs, m.CPU, m.Load)
}
