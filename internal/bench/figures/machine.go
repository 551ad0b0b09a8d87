//go:build linux

package figures

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A Machine is what a reader of figures wants to know of where they are from.
type Machine struct {
	Kernel, CPU string
	CPUs        int
	Load        float64 // over the last minute, before anything was started
	Hypervisor  bool
	before      cpuTime
	Steal       float64 // the part of the time that a hypervisor took, while measuring
}

// cpuTime is from the first line of /proc/stat, in ticks.
type cpuTime struct{ all, stolen int64 }

// Look reads what the machine is and how busy it is now.
func Look() (Machine, error) {
	m := Machine{CPUs: runtime.NumCPU()}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel = strings.TrimSpace(string(release))
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, err
	}
	first, _, _ := strings.Cut(string(load), " ")
	if m.Load, err = strconv.ParseFloat(first, 64); err != nil {
		return m, fmt.Errorf("read /proc/loadavg: %w", err)
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	if name := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); name != nil {
		m.CPU = string(name[1])
	}
	m.Hypervisor = bytes.Contains(info, []byte(" hypervisor"))
	m.before, err = readCPU()
	return m, err
}

// Busy says why figures from the machine would not be its own; "" if it is idle.
func (m Machine) Busy() string {
	if m.Load > float64(m.CPUs) {
		return fmt.Sprintf("the machine is busy: load %.2f on %d CPUs", m.Load, m.CPUs)
	}
	return ""
}

// Stolen notes how much of the time since Look another machine had.
func (m *Machine) Stolen() {
	now, err := readCPU()
	if err == nil && now.all > m.before.all {
		m.Steal = float64(now.stolen-m.before.stolen) / float64(now.all-m.before.all)
	}
}

func readCPU() (cpuTime, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTime{}, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return cpuTime{}, fmt.Errorf("read /proc/stat: %q has too few fields", line)
	}
	var t cpuTime
	for i, f := range fields[1:9] { // the rest is counted in these already
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return t, fmt.Errorf("read /proc/stat: %w", err)
		}
		t.all += v
		if i == 7 {
			t.stolen = v
		}
	}
	return t, nil
}

// loadUnit is of the machine's load, which is written down with the figures.
const loadUnit = "hundredths"

// AddLoad writes the machine's load down with its figures: when is before or after.
func (f *File) AddLoad(when string, m Machine) {
	f.Add("load", when, 0, int64(100*m.Load), loadUnit, nil)
}

// Measure makes the file of figures of the commit, with its folder, and has add fill
// it between two looks at how busy the machine is. It returns the machine as it was
// before.
func Measure(path, commit string, add func(*File) error) (Machine, error) {
	m, err := Look()
	if err != nil {
		return m, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return m, err
	}
	f, err := Create(path, commit)
	if err != nil {
		return m, err
	}
	f.AddLoad("before", m)
	err = add(f)
	if after, lookErr := Look(); lookErr == nil {
		f.AddLoad("after", after)
	}
	return m, errors.Join(err, f.Close())
}

// Shared says that the machine had other work while the figures were taken; "" if
// it had not.
func (m Machine) Shared(all []Record) string {
	for _, r := range all {
		if r.Unit == loadUnit && r.Value > int64(100*m.CPUs) {
			return "The machine was busy with other work: ratios are of use, absolute times are not."
		}
	}
	return ""
}

// Where says what the figures are from: the machine, today, and its load by them.
func (m Machine) Where(all []Record) string {
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
