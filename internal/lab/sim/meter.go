//go:build linux

package sim

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A meter measures what the process uses, in real time, whatever time it is in the
// bubble: the processor's time tells what the work costs, however busy the machine is.
type meter struct {
	begin, last time.Duration
	spans       []Span
}

// A Span is what one part of a run has cost.
type Span struct {
	Name string        `json:"name"`
	CPU  time.Duration `json:"cpu"`
	RSS  uint64        `json:"rss"` // at its end
}

func newMeter() *meter {
	now := cpu()
	return &meter{begin: now, last: now}
}

func (m *meter) mark(name string) {
	now := cpu()
	m.spans = append(m.spans, Span{Name: name, CPU: now - m.last, RSS: rss()})
	m.last = now
}

// skip leaves out what has been used since the last mark.
func (m *meter) skip() { m.last = cpu() }

func (m *meter) used() time.Duration { return cpu() - m.begin }

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss is the resident memory of this process in bytes.
func rss() uint64 { return memory("VmRSS:") }

// memory is what the kernel says of this process's memory, in bytes.
func memory(what string) uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(what)); ok {
			kib, _ := strconv.ParseUint(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			return kib << 10
		}
	}
	return 0
}
