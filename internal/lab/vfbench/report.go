//go:build linux

package vfbench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// The files that are written, beside the plots.
const (
	figuresName = "bench-sriov.csv"
	reportName  = "bench-sriov.md"
)

// overMove is how much longer than the kernel's own move a VF may take, at p50.
const overMove = 1.5

const methods = `One guest plays a physical host: QEMU emulates its processor, its IOMMU and two igb cards with 7 VFs each, on two switches that a third
joins (Open vSwitch in user space). What is measured is those: an emulated card copies each frame in QEMU's process, so nothing here says how
fast a real card is, and a bridge in the guest costs more of an emulated processor than of a real one. Servers are outside the guest. Paths take
turns, one run each per round, by one tool after the other; ratios are of medians to the host NIC's, with 95 % confidence from a bootstrap over
rounds. The host NIC, the VF, the macvlan and the bridge share one card and send without a tag; the bond has a VF of either card, on VLAN 100, so
that the card puts a tag on its frames and the switch takes it off. A run that failed is no figure. A full run takes less than 15 minutes.`

// notes say what a measure's ends are.
var notes = map[string]string{
	way: `A program in the guest has one VF and a fresh network namespace each time, as an agent with a container that has just started. nicferry:
look at the VF's settings by its card and at its interface, move it in as ` + "`eth0`" + `, raise it, give it address and default route. The kernel's floor is
one message that moves, renames and raises, and one for the address. Where the MAC is another than the last container's, igbvf has to be bound
anew to heed it; the bind is what takes that time. Afterwards the interface, its MAC and the address are looked at each time, which is not
in the figures. The timers of the program may be late, as the agent's, for both. The node's own agent is stopped meanwhile: it would look at each of these moves as well. Another link has a place for
filters, as any other container's NIC has: for the first on a node the kernel patches its own code.`,
	steps: "What the agent itself tells in `nicferry_ferry_seconds`: make or find, enter, address, summed up over all its passes until a frame was seen to leave, while Docker starts the container on the same emulated processor.",
}

// Tell computes the report from the figures alone and writes it and its plots to the
// directory; unless doc is "" the report goes to that file too, with the plots beside
// it. The error says how many runs failed.
func Tell(from string, m figures.Machine, dir, doc string) error {
	commit, all, err := figures.Read(from)
	if err != nil {
		return err
	}
	tables, failed := figures.Tables(all, ours, hostNIC)
	files := map[string]string{reportName: markdown(commit, m, all, tables)}
	for _, f := range plots() {
		if picture := draw(f, tables); picture != "" {
			files[f.file] = picture
		}
	}
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		if doc != "" {
			to := filepath.Join(filepath.Dir(doc), name)
			if name == reportName {
				to = doc
			}
			err = errors.Join(err, os.WriteFile(to, []byte(text), 0o644))
		}
	}
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d runs did not do what they should; see %s", failed, filepath.Join(dir, reportName)))
	}
	return err
}

func markdown(commit string, m figures.Machine, all []figures.Record, tables []figures.Table) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# Bench of VFs, commit %s\n", commit)
	say("**TCG guest: the processor and the cards are emulated. Read ratios, not absolute figures.**\n")
	say("%s.\n\n%s\n", m.Where(all), methods)
	if shared := m.Shared(all); shared != "" {
		say("**%s**\n", shared)
	}
	b.WriteString(figures.Promised(promises(tables)))
	for _, t := range tables {
		if note := notes[t.Title]; note != "" {
			b.WriteString(t.Markdown(note))
		}
	}
	for _, f := range plots() {
		b.WriteString(f.markdown(tables))
	}
	return b.String()
}

// markdown is the figure as a table, a row per path and a column per size.
func (f figure) markdown(tables []figures.Table) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	head, line, count, faults := "", "|---|", 0, []string(nil)
	for _, s := range f.sizes {
		head, line = head+" | "+s.name, line+"---|"
		for _, t := range tables {
			if t.Title == f.measure(s) {
				faults = append(faults, t.Faults...)
				for _, w := range t.Rows {
					count = max(count, len(w.Values))
				}
			}
		}
	}
	if count == 0 {
		return ""
	}
	unit := f.shown + ", p50"
	if !f.noRatios {
		unit += " (its ratio to the host NIC's [interval])"
	}
	say("\n## %s\n\n%s %d rounds.\n", f.title, f.note, count)
	say("| %s%s |\n%s", unit, head, line)
	for _, name := range pathNames() {
		cells := ""
		for _, s := range f.sizes {
			cells += " | " + f.cell(figures.RowOf(tables, f.measure(s), name))
		}
		say("| %s%s |", name, cells)
	}
	for _, fault := range faults {
		say("\n- failed: %s", strings.ReplaceAll(fault, "\n", " "))
	}
	if draw(f, tables) != "" { // where nothing was lost there is nothing to draw
		say("\n![%s by path](%s)", f.title, f.file)
	}
	return b.String()
}

// cell is a path's median at one size, and how that is to the host NIC's: a table's
// ratios are the other way round.
func (f figure) cell(w *figures.Row) string {
	if w == nil || len(w.Values) == 0 {
		return "–"
	}
	text := figures.Number(w.P50)
	if !f.noRatios && w.Ratio > 0 && w.Low > 0 {
		text += fmt.Sprintf(" (%.2f [%.2f, %.2f])", 1/w.Ratio, 1/w.High, 1/w.Low)
	}
	return text
}

// pathNames are the paths in the order in which they are told.
func pathNames() []string { return []string{hostNIC, oneVF, bondVF, macvlan, bridge} }

func promises(tables []figures.Table) (list []figures.Promise) {
	tell := func(what string, w *figures.Row) {
		if w != nil && len(w.Values) > 0 {
			list = append(list, figures.Promise{What: what, Is: fmt.Sprintf("%s ms of %d", figures.Number(w.P50), len(w.Values)), Want: figures.Told, Kept: true, Sure: true})
		}
	}
	if w := figures.RowOf(tables, way, floor); w != nil && w.Ratio > 0 {
		list = append(list, w.AtMost("claim held to configured on a VF that carries its MAC, to the kernel's move, p50", overMove))
	}
	tell("the same with the driver bound anew, p50", figures.RowOf(tables, way, anew))
	tell("the agent's own steps on a VF that carries its MAC, while Docker starts the container, p50", figures.RowOf(tables, steps, restarted))
	return list
}
