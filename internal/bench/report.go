//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// A report is computed from records.
type report struct {
	commit string
	all    []figures.Record
	out    strings.Builder
	failed int
}

// tell computes the report from the figures alone, writes it and prints it. The
// error says how many runs failed: a tool that is fast and wrong is not fast.
func tell(from string, m figures.Machine, to ...string) error {
	commit, all, err := figures.Read(from)
	if err != nil {
		return err
	}
	f := &report{commit: commit, all: all}
	f.machine(m)
	f.gates()
	f.table(static, "Static attach", "From holding the container's namespace to the address and the default route being set, in one process as in the agent.")
	f.table(lease, "DHCP attach", "The same, with a lease from a real dnsmasq (`--no-ping`, rapid commit offered) in between. udhcpc knows no rapid commit.")
	f.table("make", "Making a NIC", "What comes before: a veth on a bridge.")
	f.plain("messages", "Messages to rtnetlink and programs started, in one static attach")
	f.plain("crowd", "The shipped agent on a node with Docker")
	f.renewals()
	f.faults()
	fmt.Print(f.out.String())
	for _, path := range to {
		if err := os.WriteFile(path, []byte(f.out.String()), 0o644); err != nil {
			return err
		}
	}
	if f.failed > 0 {
		return fmt.Errorf("%d runs did not do what they should, or left something behind; see %s", f.failed, to[0])
	}
	return nil
}

func (f *report) say(format string, args ...any) { fmt.Fprintf(&f.out, format+"\n", args...) }

func (f *report) machine(m figures.Machine) {
	where := "bare metal"
	if m.Hypervisor {
		where = fmt.Sprintf("a virtual machine, which lost %.1f %% of its time to others", 100*m.Steal)
	}
	f.say("# Bench of %s\n", f.commit)
	f.say("%s, Linux %s, %d × %s, %s; load %.2f before the start.\n", time.Now().UTC().Format(time.DateOnly), m.Kernel, m.CPUs, m.CPU, where, m.Load)
	f.say("Tools take turns, a run each per round, each on a fresh NIC and namespace. Times are in ms. A run in which eth0 is not as it should be, or which leaves anything behind, is a failure and no time. Intervals hold with 95 %% confidence (bootstrap over rounds). All from `attach.csv`.\n")
	if busy := m.Busy(); busy != "" {
		f.say("**%s: these times are worth little, and are here until an idle machine has been measured.**\n", strings.ToUpper(busy[:1])+busy[1:])
	}
	if m.Steal > 0.05 {
		f.say("**More than 5 %% of the time was stolen: do not trust these times.**\n")
	}
}

// pairs are both tools' times in the rounds in which both did well.
func (f *report) pairs(measure, a, b string) (x, y []int64) {
	byRound := map[int][2]int64{}
	for _, r := range f.all {
		if r.Measure != measure || r.Fault != nil {
			continue
		}
		v := byRound[r.Round]
		if r.What == a {
			v[0] = r.Value
		}
		if r.What == b {
			v[1] = r.Value
		}
		byRound[r.Round] = v
	}
	for _, round := range slices.Sorted(maps.Keys(byRound)) {
		if v := byRound[round]; v[0] > 0 && v[1] > 0 {
			x, y = append(x, v[0]), append(y, v[1])
		}
	}
	return x, y
}

// table is one of tools, with ours held against each.
func (f *report) table(measure, title, about string) {
	var names []string
	for _, r := range f.all {
		if r.Measure == measure && !slices.Contains(names, r.What) {
			names = append(names, r.What)
		}
	}
	if len(names) == 0 {
		return
	}
	f.say("## %s\n\n%s\n", title, about)
	f.say("| tool | n | failed | p50 | p99 | nicferry's p50 to its [interval] |\n|---|---|---|---|---|---|")
	for _, name := range names {
		var good []int64
		failed := 0
		for _, r := range f.all {
			switch {
			case r.Measure != measure || r.What != name:
			case r.Fault != nil:
				failed++
			default:
				good = append(good, r.Value)
			}
		}
		slices.Sort(good)
		f.failed += failed
		against := ""
		if x, y := f.pairs(measure, ours, name); name != ours && len(x) > 0 {
			i := figures.Bootstrap(x, y, figures.Ratio)
			against = fmt.Sprintf("%.2f [%.2f, %.2f]", figures.Ratio(x, y), i.Low, i.High)
		}
		f.say("| %s | %d | %d | %s | %s | %s |", name, len(good), failed, ms(figures.Quantile(good, 0.5)), ms(figures.Quantile(good, 0.99)), against)
	}
	f.say("")
}

func ms(us int64) string { return fmt.Sprintf("%.2f", float64(us)/1000) }

// plain lists single values.
func (f *report) plain(measure, title string) {
	var lines []string
	for _, r := range f.all {
		if r.Measure == measure {
			lines = append(lines, fmt.Sprintf("| %s | %d %s |", r.What, r.Value, r.Unit))
		}
	}
	if len(lines) == 0 {
		return
	}
	if measure == "messages" {
		slices.Sort(lines)
	}
	f.say("## %s\n\n| what | value |\n|---|---|\n%s\n", title, strings.Join(lines, "\n"))
}

// faults lists the failed runs.
func (f *report) faults() {
	if f.failed == 0 {
		return
	}
	f.say("## Failed runs\n")
	for _, r := range f.all {
		if r.Fault != nil {
			f.say("- %s, %s, round %d: %s", r.Measure, r.What, r.Round, r.Fault)
		}
	}
}
