//go:build linux

package plugbench

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// Tell computes the reports from the figures alone and writes them to the
// directory: bench-vm.md and bench-vm.html. The error says how many runs failed.
func Tell(from string, m figures.Machine, dir string) error {
	commit, all, err := figures.Read(from)
	if err != nil {
		return err
	}
	tables, failed := makeTables(all)
	r := report{Commit: commit, Where: where(m, all), Tables: tables, Promises: promises(tables)}
	for _, l := range all {
		if l.Unit == loadUnit && l.Value > int64(100*m.CPUs) {
			r.Shared = "The machine was busy with other work: ratios are of use, absolute times are not."
		}
	}
	var page strings.Builder
	if err := pageTemplate.Execute(&page, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	for name, text := range map[string]string{"bench-vm.md": r.markdown(), "bench-vm.html": page.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d runs did not do what they should; see %s", failed, filepath.Join(dir, "bench-vm.md"))
	}
	return nil
}

type report struct {
	Commit, Where, Shared string
	Tables                []table
	Promises              []promise
}

const (
	guestWord = "TCG guest: the processor is emulated. Read ratios, not absolute figures; a guest on KVM is many times faster."
	methods   = "Rivals take turns, one run each per round, in one warm guest; what a run did wrong makes it a failure and no figure. Ratios are of medians, with 95 % confidence from a bootstrap over rounds. One observer sees for all: rtnetlink in the guest, and the domain's XML."
)

// notes say what a measure's ends are.
var notes = map[string]string{
	attach:     "From the request until the guest's kernel tells of the link. nicferry writes its ledger to disk first, and plugs into the live and the stored definition.",
	attachUser: "nicferry: until the call has returned or the link was seen, whichever is later. virsh: until the shell loop in the guest has found it (every 50 ms).",
	detach:     "From the request until the link is gone from the guest and the card from the domain's XML.",
	detachUser: "virsh: until the shell loops over dumpxml and ip link have found nothing.",
	frozen:     "How long the call holds its caller up while the guest is paused. The card goes once the guest wakes, with both.",
	cycle:      "One MAC, attach and detach by the provider, each seen exactly once by the guest and by the domain.",
	reply:      "From docker start, which itself takes what the next table says, until a peer on the LAN that pings every 10 ms has its first reply.",
	after:      "What nicferry adds to Docker's own time, as far as its user sees it; 0 is a reply before the command was back.",
	udpSent:    "iperf3 to a server on the LAN, outside the guest; all paths cross the same switch.",
	middleRTT:  "sockperf ping-pong, 64 B over UDP, client in the guest, server on the LAN.",
}

// Note is for the templates.
func (t table) Note() string { return notes[t.Title] }

// loadUnit is of the machine's load, which is written down with the figures.
const loadUnit = "hundredths"

func where(m figures.Machine, all []figures.Record) string {
	load := "its load was not written down"
	for _, r := range all {
		if r.Unit == loadUnit && r.What == "before" {
			load = fmt.Sprintf("load %.2f before the start", float64(r.Value)/100)
		}
		if r.Unit == loadUnit && r.What == "after" {
			load += fmt.Sprintf(", %.2f at the end with the guest's own", float64(r.Value)/100)
		}
	}
	machine := "bare metal"
	if m.Hypervisor {
		machine = "itself a virtual machine"
	}
	return fmt.Sprintf("Written %s on Linux %s, %d × %s, %s; %s", time.Now().UTC().Format(time.DateOnly), m.Kernel, m.CPUs, m.CPU, machine, load)
}

func (r report) markdown() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# Bench of hot-plug and of a hot-plugged NIC, commit %s\n", r.Commit)
	say("**%s**\n\n%s.\n\n%s\n", guestWord, r.Where, methods)
	if r.Shared != "" {
		say("**%s**\n", r.Shared)
	}
	say("| promise, or figure to be told | is | want | kept |\n|---|---|---|---|")
	for _, p := range r.Promises {
		say("| %s | %s | %s | %s |", p.What, p.Is, p.Want, p.Word())
	}
	for _, t := range r.Tables {
		say("\n## %s\n", strings.ToUpper(t.Title[:1])+t.Title[1:])
		if note := t.Note(); note != "" {
			say("%s\n", note)
		}
		say("| %s | n | failed | p50 | p99 | most | nicferry's p50 to its [interval] |\n|---|---|---|---|---|---|---|", t.Unit)
		for _, w := range t.Rows {
			say("| %s | %d | %d | %s | %s | %s | %s |", w.Name, len(w.Values), w.Failed, number(w.P50), number(w.P99), number(w.Max), w.Against())
		}
		for _, fault := range t.Faults {
			say("\n- failed: %s", strings.ReplaceAll(fault, "\n", " "))
		}
	}
	return b.String()
}

// Word says whether the promise is kept.
func (p promise) Word() string {
	word := "no"
	if p.Want == told {
		return ""
	}
	if p.Kept {
		word = "yes"
	}
	if !p.Sure {
		word += ", by the median; the interval allows both"
	}
	return word
}

// Against is the row's ratio.
func (w row) Against() string {
	if w.ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", w.ratio, w.low, w.high)
}

//go:embed report.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"plot":  func(t table) template.HTML { return template.HTML(plot(t)) }, // every text in it is escaped there
	"guest": func() string { return guestWord }, "methods": func() string { return methods }, "number": number,
}).Parse(pageText))
