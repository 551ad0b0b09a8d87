//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// What the project promises.
const (
	overMove   = 3000 // µs that a static attach may take beyond the kernel's move, at p50
	overStatic = 3000 // µs that a lease with rapid commit may add, at p50
	messages   = 4    // of rtnetlink before routes
	crowdRSS   = 30 << 10
	crowdTasks = 32
	growth     = 10 // % that memory may grow over an hour of renewals
)

// gates holds the figures against the promises.
func (f *report) gates() {
	f.say("| promise | is | at most | kept |\n|---|---|---|---|")
	f.over("static attach over the kernel's move, p50", static, floor, overMove)
	f.over("DHCP attach with rapid commit over a static one, p50", lease, fixed, overStatic)
	before, total := int64(0), int64(0)
	for _, r := range f.all {
		if r.Measure == "messages" && r.Unit == "messages" {
			total += r.Value
			if !strings.HasSuffix(r.What, "ROUTE") && !strings.HasSuffix(r.What, "RULE") {
				before += r.Value
			}
		}
	}
	if total > 0 {
		f.promise("messages to rtnetlink in a static attach, but for routes and rules", fmt.Sprint(before), fmt.Sprint(messages), before <= messages)
	}
	f.single("programs started in a static attach", "messages", "programs started", 0, "")
	f.single("memory of an agent with 100 NICs under lease", "crowd", "VmRSS", crowdRSS, "KiB")
	f.single("threads of an agent with 100 NICs under lease", "crowd", "Threads", crowdTasks, "")
	f.hour()
	f.say("")
}

// hour holds the memory in the last quarter of the renewals against the first's.
func (f *report) hour() {
	rss, threads := f.values("hour", "VmRSS"), f.values("hour", "Threads")
	quarter := len(rss) / 4
	if quarter == 0 {
		return
	}
	first, last := figures.Median(rss[:quarter]), figures.Median(rss[len(rss)-quarter:])
	grown := 100 * float64(last-first) / float64(first)
	what := fmt.Sprintf("memory after an hour of renewals over before, medians of the first and last %d of %d samples", quarter, len(rss))
	f.promise(what, fmt.Sprintf("%+.1f %% (%d KiB, then %d KiB)", grown, first, last), fmt.Sprintf("+%d %%", growth), grown <= growth)
	most := slices.Max(rss)
	f.promise("most memory in that hour", fmt.Sprintf("%d KiB", most), fmt.Sprintf("%d KiB", crowdRSS), most <= crowdRSS)
	f.promise("most threads in that hour", fmt.Sprint(slices.Max(threads)), fmt.Sprint(crowdTasks), slices.Max(threads) <= crowdTasks)
}

// renewals tells how the hour was shortened, and how steep the memory's line is.
func (f *report) renewals() {
	count, took, rss := f.values("hour", "renewals"), f.values("hour", "time"), f.values("hour", "VmRSS")
	if len(count) == 0 || len(took) == 0 || count[0] == 0 {
		return
	}
	f.say("## An hour of renewals\n")
	f.say("Leases of 120 s are renewed %d times an hour. A real dnsmasq asked for it after 2 s instead (option 58): %d renewals in %s s, with a sample of the agent's memory each second.", renewals, count[0], ms(took[0]))
	f.say("By least squares the memory changes by %+.0f KiB from the first to the last sample.\n", figures.Slope(rss)*float64(len(rss)-1))
}

// values are those of one thing, in the order in which they were taken.
func (f *report) values(measure, what string) (list []int64) {
	for _, r := range f.all {
		if r.Measure == measure && r.What == what && r.Fault == nil {
			list = append(list, r.Value)
		}
	}
	return list
}

// over holds the difference of two tools' medians against a bound.
func (f *report) over(what, measure, than string, most int64) {
	x, y := f.pairs(measure, ours, than)
	if len(x) == 0 {
		return
	}
	i := figures.Bootstrap(x, y, figures.Difference)
	d := figures.Median(x) - figures.Median(y)
	is := fmt.Sprintf("%s ms [%s, %s]", ms(d), ms(int64(i.Low)), ms(int64(i.High)))
	f.promise(what, is, ms(most)+" ms", d <= most)
}

// single holds a value that was measured once against a bound.
func (f *report) single(what, measure, name string, most int64, unit string) {
	for _, r := range f.all {
		if r.Measure == measure && r.What == name {
			f.promise(what, strings.TrimSpace(fmt.Sprintf("%d %s", r.Value, unit)), strings.TrimSpace(fmt.Sprintf("%d %s", most, unit)), r.Value <= most)
		}
	}
}

func (f *report) promise(what, is, most string, kept bool) {
	word := "**no**"
	if kept {
		word = "yes"
	}
	f.say("| %s | %s | %s | %s |", what, is, most, word)
}
