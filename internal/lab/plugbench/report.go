//go:build linux

package plugbench

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// Tell computes the reports from the figures alone and writes them to the
// directory: bench-vm.md and bench-vm.html. The error says how many runs failed.
func Tell(from string, m figures.Machine, dir string) error {
	commit, all, err := figures.Read(from)
	if err != nil {
		return err
	}
	tables, failed := figures.Tables(all, ours, pathNIC)
	r := report{Commit: commit, Where: m.Where(all), Shared: m.Shared(all), Tables: tables, Promises: promises(tables)}
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
	Tables                []figures.Table
	Promises              []figures.Promise
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

func (r report) markdown() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# Bench of hot-plug and of a hot-plugged NIC, commit %s\n", r.Commit)
	say("**%s**\n\n%s.\n\n%s\n", guestWord, r.Where, methods)
	if r.Shared != "" {
		say("**%s**\n", r.Shared)
	}
	b.WriteString(figures.Promised(r.Promises))
	for _, t := range r.Tables {
		b.WriteString(t.Markdown(notes[t.Title]))
	}
	return b.String()
}

//go:embed report.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"plot":  func(t figures.Table) template.HTML { return template.HTML(plot(t)) }, // every text in it is escaped there
	"guest": func() string { return guestWord }, "methods": func() string { return methods }, "number": figures.Number,
	"note": func(t figures.Table) string { return notes[t.Title] },
}).Parse(pageText))
