//go:build linux

package main

import (
	"fmt"
	"strings"
)

// What the project promises.
const (
	overMove   = 3000 // µs that a static attach may take beyond the kernel's move, at p50
	overStatic = 3000 // µs that a lease with rapid commit may add, at p50
	messages   = 4    // of rtnetlink before routes
	crowdRSS   = 30 << 10
	crowdTasks = 32
)

// gates holds the figures against the promises.
func (f *figures) gates() {
	f.say("| promise | is | at most | kept |\n|---|---|---|---|")
	f.over("static attach over the kernel's move, p50", static, floor, overMove)
	f.over("DHCP attach with rapid commit over a static one, p50", lease, fixed, overStatic)
	before, total := int64(0), int64(0)
	for _, r := range f.all {
		if r.measure == "messages" && r.unit == "messages" {
			total += r.value
			if !strings.HasSuffix(r.what, "ROUTE") && !strings.HasSuffix(r.what, "RULE") {
				before += r.value
			}
		}
	}
	if total > 0 {
		f.promise("messages to rtnetlink in a static attach, but for routes and rules", fmt.Sprint(before), fmt.Sprint(messages), before <= messages)
	}
	f.single("programs started in a static attach", "messages", "programs started", 0, "")
	f.single("memory of an agent with 100 NICs under lease", "crowd", "VmRSS", crowdRSS, "KiB")
	f.single("threads of an agent with 100 NICs under lease", "crowd", "Threads", crowdTasks, "")
	f.say("")
}

// over holds the difference of two tools' medians against a bound.
func (f *figures) over(what, measure, than string, most int64) {
	x, y := f.pairs(measure, ours, than)
	if len(x) == 0 {
		return
	}
	i := bootstrap(x, y, difference)
	d := median(x) - median(y)
	is := fmt.Sprintf("%s ms [%s, %s]", ms(d), ms(int64(i.low)), ms(int64(i.high)))
	f.promise(what, is, ms(most)+" ms", d <= most)
}

// single holds a value that was measured once against a bound.
func (f *figures) single(what, measure, name string, most int64, unit string) {
	for _, r := range f.all {
		if r.measure == measure && r.what == name {
			f.promise(what, strings.TrimSpace(fmt.Sprintf("%d %s", r.value, unit)), strings.TrimSpace(fmt.Sprintf("%d %s", most, unit)), r.value <= most)
		}
	}
}

func (f *figures) promise(what, is, most string, kept bool) {
	word := "**no**"
	if kept {
		word = "yes"
	}
	f.say("| %s | %s | %s | %s |", what, is, most, word)
}
